package dashboard

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const (
	maxForm    = 256 << 10
	draftTime  = 15 * time.Minute
	mostDrafts = 64
)

// integrationForm is what somebody typed, as they typed it, without the secret.
type integrationForm struct {
	Name, Kind, URL, Username    string
	Repositories                 string
	Include, Exclude, Tags       string
	Subdomain                    bool
	Proxy, AuthHosts, CAFile     string
	Draft                        string // names the secret that was typed before a test
	secret, webhook, draftSecret string
}

func formOf(in inventory.Integration) integrationForm {
	return integrationForm{
		Name: in.Name, Kind: in.Kind, URL: in.URL, Username: in.Username, Repositories: strings.Join(in.Repositories, "\n"),
		Include: strings.Join(in.Include, ", "), Exclude: strings.Join(in.Exclude, ", "), Tags: strings.Join(in.Tags, "\n"),
		Subdomain: in.SubdomainMode, Proxy: in.Proxy, AuthHosts: strings.Join(in.AuthHosts, ", "), CAFile: in.CAFile,
	}
}

func (d *Dashboard) readForm(w http.ResponseWriter, r *http.Request, user string) (integrationForm, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return integrationForm{}, inventory.Errorf(inventory.ErrInvalid, "the form could not be read")
	}
	get := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	f := integrationForm{
		Name: get("name"), Kind: get("kind"), URL: get("url"), Username: get("username"), Repositories: get("repositories"),
		Include: get("include"), Exclude: get("exclude"), Tags: get("tags"), Subdomain: get("subdomain") != "",
		Proxy: get("proxy"), AuthHosts: get("auth_hosts"), CAFile: get("ca_file"), Draft: get("draft"),
		secret: get("secret"), webhook: get("webhook_secret"),
	}
	f.draftSecret = d.drafts.take(f.Draft, user, d.Now())
	return f, nil
}

// change is the form as the hub takes it.
func (f integrationForm) change() inventory.IntegrationChange {
	secret := f.secret
	if secret == "" {
		secret = f.draftSecret
	}
	return inventory.IntegrationChange{
		Integration: inventory.Integration{
			Name: f.Name, Kind: f.Kind, URL: f.URL, Username: f.Username, Repositories: list(f.Repositories),
			Include: list(f.Include), Exclude: list(f.Exclude), Tags: lines(f.Tags), SubdomainMode: f.Subdomain,
			Proxy: f.Proxy, AuthHosts: list(f.AuthHosts), CAFile: f.CAFile,
		},
		Secret: secret, WebhookSecret: f.webhook,
	}
}

// list takes names apart that commas, semicolons, blanks or lines separate.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(",; \t\r\n", r) })
}

// lines takes regular expressions apart: they may hold anything but a line's end.
func lines(s string) []string {
	var out []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// drafts keep secrets that were typed into a form while its test is looked at, so that
// the page need not carry them and nobody has to type them twice. They stay in memory.
type drafts struct {
	mu   sync.Mutex
	kept map[string]draft
}

type draft struct {
	user   string
	secret string
	until  time.Time
}

// keep answers the name of a kept secret, "" when there is nothing to keep.
func (s *drafts) keep(secret, user string, now time.Time) string {
	if secret == "" {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := ""
	for id, d := range s.kept {
		if now.After(d.until) {
			delete(s.kept, id)
			continue
		}
		if oldest == "" || d.until.Before(s.kept[oldest].until) {
			oldest = id
		}
	}
	if len(s.kept) >= mostDrafts {
		delete(s.kept, oldest)
	}
	id := randomHex(16)
	s.kept[id] = draft{user: user, secret: secret, until: now.Add(draftTime)}
	return id
}

// take answers a kept secret to the one who typed it, once.
func (s *drafts) take(id, user string, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.kept[id]
	if !ok || d.user != user || now.After(d.until) {
		return ""
	}
	delete(s.kept, id)
	return d.secret
}

// randomHex answers n random bytes in hex.
func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
