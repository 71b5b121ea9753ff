package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/demo"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// flawed is the layer of an application with one npm package, which the advisory of
// the same number is about.
func flawed(t *testing.T, n int) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	body := fmt.Sprintf(`{"name":"leaky-%d","version":"1.0.%d"}`, n, n)
	header := &tar.Header{Name: fmt.Sprintf("app/node_modules/leaky-%d/package.json", n), Mode: 0o644, Size: int64(len(body))}
	if err := w.WriteHeader(header); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

// flawID is the flaw of a package.
func flawID(n int) string { return fmt.Sprintf("CVE-2026-%04d", 1000+n) }

// writeFlaws writes advisories about so many packages.
func writeFlaws(t *testing.T, n int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for i := range n {
		rec := map[string]any{
			"schema_version": "1.6.0", "id": fmt.Sprintf("GHSA-aaaa-bbbb-%04d", i), "modified": "2026-01-02T00:00:00Z", "published": "2026-01-01T00:00:00Z",
			"aliases": []string{flawID(i)}, "summary": "leaks <!channel>",
			"database_specific": map[string]any{"severity": "CRITICAL"},
			"affected": []any{map[string]any{
				"package": map[string]any{"ecosystem": "npm", "name": fmt.Sprintf("leaky-%d", i)},
				"ranges":  []any{map[string]any{"type": "SEMVER", "events": []any{map[string]any{"introduced": "0"}, map[string]any{"fixed": "2.0.0"}}}},
			}},
		}
		body, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, fmt.Sprint(i)+".json"), string(body))
	}
	return dir
}

// delivered is one request that a receiver was sent.
type delivered struct {
	at       time.Time
	id, body string
}

// inbox is a real HTTP listener.
type inbox struct {
	*httptest.Server
	mu    sync.Mutex
	all   []delivered
	came  chan string // ids, as they come
	delay func() time.Duration
}

func listenFor(t *testing.T) *inbox {
	t.Helper()
	in := &inbox{came: make(chan string, 1000), delay: func() time.Duration { return 0 }}
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		id := r.Header.Get("X-Tallyman-Event")
		in.mu.Lock()
		in.all = append(in.all, delivered{time.Now(), id, string(body)})
		delay := in.delay()
		in.mu.Unlock()
		in.came <- id
		time.Sleep(delay)
		w.WriteHeader(http.StatusOK)
	}))
	t.Cleanup(in.Close)
	return in
}

func (in *inbox) deliveries() []delivered {
	in.mu.Lock()
	defer in.mu.Unlock()
	return append([]delivered{}, in.all...)
}

// watched is a simulator with one image, and a program that has looked at it once.
func watched(ctx context.Context, t *testing.T, flaws int) (program, *artifactorytest.Server, demo.Target) {
	t.Helper()
	p := program{path: built(t), data: t.TempDir()}
	server, target := simulator(t, demo.Key{Name: realKey, PackageType: "docker"})
	server.Change(func(s *artifactorytest.Switches) { s.PrivateTargets = true })
	pushImage(ctx, t, target, "team/old:1", stack(t, flawed(t, 0)))
	p.connect(ctx, t, server.URL(), realKey)
	p.do(ctx, t, "", "advisories", "import", writeFlaws(t, flaws))
	return p, server, target
}

// TestPushReachesSlack: from the push of a vulnerable image to a real listener, in
// Slack's form, within two seconds.
func TestPushReachesSlack(t *testing.T) {
	if testing.Short() {
		t.Skip("long: starts the program")
	}
	ctx := t.Context()
	p, server, target := watched(ctx, t, 3)
	slack := listenFor(t)
	p.do(ctx, t, slack.URL+"/services/T0/B0/very-secret", "notify", "add", "team", "--kind", "slack", "--url-stdin")
	hookSecret := strings.Repeat("hook-secret-", 6)
	p.do(ctx, t, hookSecret, "integration", "update", "lab", "--webhook-secret-stdin")
	serving := p.serve(t)
	serving.ready(t)
	p.settled(ctx, t, serving, 1)
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(serving.log.String())
	subscribe(ctx, t, server, address+"/hooks/artifactory/lab", hookSecret)
	time.Sleep(1100 * time.Millisecond) // the registry's clock counts seconds

	pushImage(ctx, t, target, "team/new:1", stack(t, flawed(t, 1)))
	pushed := time.Now()
	select {
	case <-slack.came:
	case <-time.After(20 * time.Second):
		t.Fatalf("no message within 20 s of the push\n%s", serving.log)
	}
	first := slack.deliveries()[0]
	took := first.at.Sub(pushed)
	t.Logf("from the push to the listener: %s", took.Round(time.Millisecond))
	if took > 2*time.Second {
		t.Errorf("the message took %s", took)
	}
	var m struct {
		Text   string           `json:"text"`
		Blocks []map[string]any `json:"blocks"`
	}
	decode(t, []byte(first.body), &m)
	for _, want := range []string{flawID(1), "team/new:1", first.id, "1 critical"} {
		if !strings.Contains(first.body, want) || first.id == "" {
			t.Errorf("the message lacks %q: %s", want, first.body)
		}
	}
	if len(m.Blocks) < 3 || m.Blocks[0]["type"] != "header" || strings.Contains(first.body, "<!channel>") || strings.Contains(first.body, `\u003c!channel`) {
		t.Errorf("not in Slack's form, or with markup: %s", first.body)
	}
	serving.stop(t)
	if n := len(slack.deliveries()); n != 1 {
		t.Errorf("%d messages", n)
	}
	for _, secret := range []string{"very-secret", "hook-secret"} {
		forgets(t, p.data, secret)
		if strings.Contains(serving.log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

// subscribe sets the webhook up as an administrator does.
func subscribe(ctx context.Context, t *testing.T, server *artifactorytest.Server, url, secret string) {
	t.Helper()
	body := fmt.Sprintf(`{"key":"tallyman","enabled":true,"event_filter":{"domain":"docker","event_types":["pushed","deleted","promoted"],
		"criteria":{"anyLocal":true,"anyRemote":false,"anyFederated":true,"repoKeys":[]}},
		"handlers":[{"handler_type":"webhook","url":%q,"secret":%q,"use_secret_for_signing":true}]}`, url, secret)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL()+"/event/api/v1/subscriptions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth(artifactorytest.AdminName, artifactorytest.AdminPassword)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("the webhook is refused: %s", res.Status)
	}
}

// TestKillsAroundTheSend kills the server ten times close to a send. Everything is
// delivered; twice only what the receiver had and the ledger had no receipt of, and
// then under the same id.
func TestKillsAroundTheSend(t *testing.T) {
	if testing.Short() {
		t.Skip("long: starts the program a dozen times")
	}
	const kills = 10
	ctx := t.Context()
	p, _, target := watched(ctx, t, kills+1)
	hook := listenFor(t)
	random := rand.New(rand.NewPCG(seed, 1))
	hook.delay = func() time.Duration { return time.Duration(random.Int64N(int64(60 * time.Millisecond))) }
	p.do(ctx, t, "signed with this word", "notify", "add", "siem", "--kind", "webhook", "--url", hook.URL, "--secret-stdin", "--on", "new")
	serving := p.serve(t)
	p.settled(ctx, t, serving, 1)
	serving.stop(t)
	time.Sleep(1100 * time.Millisecond) // the registry's clock counts seconds

	receipts := map[string]time.Time{} // messages that the ledger knew as sent when the server was dead
	before, between := 0, 0
	for n := 1; n <= kills; n++ {
		pushImage(ctx, t, target, fmt.Sprintf("team/app%d:1", n), stack(t, flawed(t, n)))
		serving := p.serve(t)
		hook.mu.Lock()
		after := time.Duration(random.Int64N(int64(60 * time.Millisecond)))
		hook.mu.Unlock()
		came := ""
		if n%3 == 0 { // somewhere on the way to the send
			time.Sleep(10 * after)
		} else {
			select {
			case came = <-hook.came:
				time.Sleep(after)
			case <-time.After(20 * time.Second):
				t.Fatalf("nothing was sent within 20 s\n%s", serving.log)
			}
		}
		serving.kill(t)
		for len(hook.came) > 0 {
			<-hook.came
		}
		for _, d := range p.messages(ctx, t) {
			if _, known := receipts[d.Notice.ID]; !known && d.State == inventory.DeliverySent {
				receipts[d.Notice.ID] = time.Now()
			}
		}
		_, written := receipts[came]
		switch {
		case came == "":
			before++
		case !written:
			between++
		}
		t.Logf("kill %d: %q had come, its receipt was written: %t", n, came, written)
	}
	t.Logf("seed %d; of %d kills %d came at any time, %d between the send and its receipt", seed, kills, before, between)
	serving = p.serve(t)
	p.allSent(ctx, t, kills)
	serving.stop(t)
	checkDeliveries(t, hook.deliveries(), receipts, kills)
}

// messages is the outbox as the command prints it.
func (p program) messages(ctx context.Context, t *testing.T) (all []inventory.Delivery) {
	t.Helper()
	decode(t, p.do(ctx, t, "", "notify", "list", "siem", "--format", "json"), &all)
	return all
}

// allSent waits until so many messages are sent and none waits.
func (p program) allSent(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	for range 100 {
		sent := 0
		for _, d := range p.messages(ctx, t) {
			if d.State == inventory.DeliverySent {
				sent++
			}
		}
		if sent >= n {
			return
		}
		time.Sleep(300 * time.Millisecond)
	}
	t.Fatalf("not everything is sent: %+v", p.messages(ctx, t))
}

// checkDeliveries holds what a receiver was sent to what was promised.
func checkDeliveries(t *testing.T, all []delivered, receipts map[string]time.Time, flaws int) {
	t.Helper()
	first, byFlaw, repeats := map[string]delivered{}, map[string]string{}, 0
	for _, d := range all {
		var n inventory.Notice
		decode(t, []byte(d.body), &n)
		if n.ID != d.id || d.id == "" || len(n.Findings) != 1 {
			t.Errorf("header %q, body %s", d.id, d.body)
			continue
		}
		if old, again := first[d.id]; again {
			repeats++
			if old.body != d.body {
				t.Errorf("%s is not the same the second time", d.id)
			}
			if at, ok := receipts[d.id]; ok && d.at.After(at) {
				t.Errorf("%s came again after its receipt was written", d.id)
			}
			continue
		}
		first[d.id] = d
		if other, told := byFlaw[n.Findings[0].ID]; told {
			t.Errorf("%s is told by %s and %s", n.Findings[0].ID, other, d.id)
		}
		byFlaw[n.Findings[0].ID] = d.id
	}
	for n := 1; n <= flaws; n++ {
		if byFlaw[flawID(n)] == "" {
			t.Errorf("%s was never told", flawID(n))
		}
	}
	t.Logf("%d messages, %d of them came twice", len(first), repeats)
}
