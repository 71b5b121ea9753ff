package dashboard_test

import (
	"context"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// teller keeps channels in memory and reaches nobody.
type teller struct {
	channels []inventory.Channel
	changes  []inventory.ChannelChange
	replayed []inventory.DeliveryFilter
}

func sampleTeller() *teller {
	at := now().Add(-3 * time.Hour)
	rules := []inventory.Rule{
		{Events: []string{"new", "kev"}, Severity: "high"}, {Events: []string{"fixable"}, Repository: "docker-prod/" + hostile, Severity: "critical"},
	}
	return &teller{channels: []inventory.Channel{
		{Name: "team", Kind: "slack", Host: "hooks.slack.com", Rules: rules, Created: at, Sent: 214, LastSent: &at},
		{Name: "siem", Kind: "webhook", Host: "siem.example", HasSecret: true, Rules: rules[:1], Created: at, Sent: 12, Waiting: 1, Dead: 2, Problem: "siem.example answered 503"},
		{Name: "boss", Kind: "mail", Host: "smtp.example.com", Mail: &inventory.Mail{Server: "smtp.example.com:587", From: "tallyman@example.com", To: []string{"boss@example.com"}}, Rules: rules[1:], Created: at},
	}}
}

func (f *teller) Channels(context.Context) ([]inventory.Channel, error) { return f.channels, nil }

func (f *teller) AddChannel(_ context.Context, c inventory.ChannelChange) (inventory.Channel, error) {
	if slices.ContainsFunc(f.channels, func(o inventory.Channel) bool { return o.Name == c.Name }) {
		return inventory.Channel{}, inventory.Errorf(inventory.ErrConflict, "there is a channel %q already", c.Name).WithRemedy("choose another name")
	}
	f.changes = append(f.changes, c)
	return inventory.Channel{Name: c.Name, Kind: c.Kind}, nil
}

func (f *teller) UpdateChannel(_ context.Context, name string, c inventory.ChannelChange) (inventory.Channel, error) {
	c.Name = name
	f.changes = append(f.changes, c)
	return inventory.Channel{Name: c.Name, Kind: c.Kind}, nil
}

func (f *teller) RemoveChannel(_ context.Context, name string) error {
	f.channels = slices.DeleteFunc(f.channels, func(c inventory.Channel) bool { return c.Name == name })
	return nil
}

func (f *teller) TestChannel(_ context.Context, name string) (inventory.NoticeTest, error) {
	if name == "siem" {
		return inventory.NoticeTest{Error: "siem.example answered 503", Remedy: "look at the receiver"}, nil
	}
	return inventory.NoticeTest{OK: true, ID: "evt_TEST", Receipt: "200 OK"}, nil
}

func (f *teller) PreviewChannel(context.Context, string, string) (inventory.NoticePreview, error) {
	return inventory.NoticePreview{ContentType: "application/json", Body: `{"text":"x","blocks":[{"type":"header","text":{"text":"CVE-2021-44228 is in 1 image"}},
		{"type":"section","text":{"text":":red_circle: *critical* ` + "`CVE-2021-44228`" + ` &lt;!channel&gt;"}},{"type":"context","elements":[{"text":"Tallyman"}]}]}`}, nil
}

func (f *teller) Messages(_ context.Context, q inventory.DeliveryFilter) ([]inventory.Delivery, error) {
	var out []inventory.Delivery
	for i, state := range []string{"sent", "waiting", "dead"} {
		if q.State == "" || q.State == state {
			out = append(out, inventory.Delivery{
				Channel: "siem", State: state, Attempts: 1 + 17*i, Problem: []string{"", "", "siem.example answered 503"}[i], Receipt: []string{"200 OK", "", ""}[i],
				Notice: inventory.Notice{ID: "evt_" + state, Title: "CVE-2025-49794 (critical) is in 214 images " + hostile, At: now().Add(-time.Hour)},
			})
		}
	}
	return out, nil
}

func (f *teller) ReplayMessages(_ context.Context, q inventory.DeliveryFilter) (int, error) {
	f.replayed = append(f.replayed, q)
	return 1, nil
}

// excepter keeps exceptions in memory.
type excepter struct{ list []inventory.Exception }

func sampleExcepter() *excepter {
	return &excepter{[]inventory.Exception{
		{ID: 1, CVE: "CVE-2023-45853", Package: "zlib1g", All: true, Status: "not_affected", Justification: "vulnerable_code_not_in_execute_path", Reason: "minizip is not built " + hostile, Author: "m.okafor", Created: ptr(now()), Expires: ptr(now().Add(900 * time.Hour))},
		{ID: 2, Package: "busybox", Repository: "docker-dev/*", Status: "affected", Author: "m.okafor", Created: ptr(now()), Expires: ptr(now().Add(-900 * time.Hour)), Expired: true},
	}}
}

func (f *excepter) Exceptions(context.Context) ([]inventory.Exception, error) {
	return slices.Clone(f.list), nil
}

func (f *excepter) AddExceptions(_ context.Context, c inventory.ExceptionChange) (inventory.ExceptionResult, error) {
	if c.Exceptions[0].CVE == "" && c.Exceptions[0].Package == "" {
		return inventory.ExceptionResult{}, inventory.Errorf(inventory.ErrInvalid, "the exception names neither a flaw nor a package").WithRemedy("give a CVE id")
	}
	if !c.DryRun {
		f.list = append(f.list, c.Exceptions...)
	}
	return inventory.ExceptionResult{Hides: inventory.Hides{Findings: 14, Flaws: 1, Images: 9, KEV: 1}}, nil
}

func (f *excepter) RemoveException(_ context.Context, id int64) error {
	f.list = slices.DeleteFunc(f.list, func(e inventory.Exception) bool { return e.ID == id })
	return nil
}

// asker keeps watches in memory.
type asker struct{ list []inventory.Watch }

func sampleAsker() *asker {
	last := now().Add(-5 * time.Hour)
	return &asker{[]inventory.Watch{
		{Name: "log4shell", Query: "CVE-2021-44228", Author: "m.okafor", Created: now().Add(-90 * 24 * time.Hour), Images: 3, Last: &last},
		{Name: "old-openssl", Query: "openssl <3.0.12", Ecosystem: "Debian " + hostile, Author: "ada", Created: now().Add(-time.Hour)},
	}}
}

func (f *asker) Watches(context.Context) ([]inventory.Watch, error) { return slices.Clone(f.list), nil }

func (f *asker) AddWatch(_ context.Context, w inventory.Watch) (inventory.Watch, error) {
	if slices.ContainsFunc(f.list, func(o inventory.Watch) bool { return o.Name == w.Name }) {
		return w, inventory.Errorf(inventory.ErrConflict, "there is a watch %s already", w.Name).WithRemedy("choose another name")
	}
	f.list = append(f.list, w)
	return w, nil
}

func (f *asker) RemoveWatch(_ context.Context, name string) error {
	n := len(f.list)
	f.list = slices.DeleteFunc(f.list, func(w inventory.Watch) bool { return w.Name == name })
	if len(f.list) == n {
		return inventory.Errorf(inventory.ErrNotFound, "there is no watch %q", name)
	}
	return nil
}

// jobBoard is a queue with one job in trouble and one given up.
type jobBoard struct{ retried []int64 }

func (*jobBoard) Counts(context.Context) ([]inventory.JobCount, error) {
	return []inventory.JobCount{{Kind: "index", Waiting: 6685, Running: 3, Retrying: 1, Done: 3121, Failed: 1}, {Kind: "look", Planned: 3, Done: 1200}}, nil
}

func (*jobBoard) Troubles(context.Context, int) ([]inventory.JobTrouble, error) {
	return []inventory.JobTrouble{
		{ID: 7, Kind: "index", Subject: digest("gpu-train"), Attempt: 3, Problem: "acme.jfrog.io: 503 Service Unavailable " + hostile, Next: now().Add(time.Minute)},
		{ID: 8, Kind: "look", Subject: "partner-mirror", GivenUp: true, Attempt: 25, Problem: "connection refused", Next: now().Add(-time.Hour)},
	}, nil
}

func (f *jobBoard) Retry(_ context.Context, id int64) error {
	if id != 7 {
		return inventory.Errorf(inventory.ErrNotFound, "there is no failed job %d", id)
	}
	f.retried = append(f.retried, id)
	return nil
}

// syncer counts how often it was asked.
type syncer struct {
	asked int
	err   error
}

func (f *syncer) SyncAdvisories(context.Context) error {
	f.asked++
	return f.err
}
