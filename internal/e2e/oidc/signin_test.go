package oidc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// tallyman is the program, serving below a path as behind a proxy.
type tallyman struct {
	root string // http://127.0.0.1:PORT
	base string // with the path
	out  *output
}

// output is what the program writes, while it writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "tallyman")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-C", filepath.Join("..", "..", ".."), "-o", program, "./cmd/tallyman")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

func serve(t *testing.T, program string, p *provider, more ...string) *tallyman {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := l.Addr().String()
	must(t, l.Close())
	s := &tallyman{root: "http://" + address, base: "http://" + address + "/tally", out: &output{}}
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, program, "serve", "--listen", address, "--role", "web")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append([]string{
		"TALLYMAN_DATA=" + t.TempDir(), "HOME=" + t.TempDir(), "TALLYMAN_PUBLIC_URL=" + s.base, "TALLYMAN_LOG_LEVEL=debug",
		"TALLYMAN_OIDC_ISSUER=" + p.url, "TALLYMAN_OIDC_CLIENT_ID=" + clientID, "TALLYMAN_OIDC_CLIENT_SECRET=" + clientSecret,
		"TALLYMAN_OIDC_NAME=Acme ID", "TALLYMAN_OIDC_ADMINS=platform", "TALLYMAN_OIDC_EDITORS=dev,ops", "TALLYMAN_OIDC_VIEWERS=staff",
	}, more...)
	cmd.Stdout, cmd.Stderr = s.out, s.out
	must(t, cmd.Start())
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(s.out)
		}
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if res, err := http.Get(s.root + "/healthz"); err == nil {
			res.Body.Close()
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("it does not serve:\n%s", s.out)
		}
	}
}

// browser follows redirects and keeps cookies, as a browser does.
type browser struct {
	t      *testing.T
	client *http.Client
}

func newBrowser(t *testing.T) *browser {
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &browser{t, &http.Client{Jar: jar, Timeout: 20 * time.Second}}
}

// page is an answer: where it came from in the end, and what it says.
type page struct {
	status int
	url    *url.URL
	body   string
}

func (b *browser) read(res *http.Response, err error) page {
	b.t.Helper()
	must(b.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(b.t, err)
	return page{res.StatusCode, res.Request.URL, string(body)}
}

func (b *browser) get(address string) page {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, http.NoBody)
	must(b.t, err)
	req.Header.Set("Accept", "text/html")
	return b.read(b.client.Do(req))
}

// signIn goes all the way: from our page to the provider, through its form, and back.
func (b *browser) signIn(s *tallyman, name, to string) page {
	b.t.Helper()
	form := b.get(s.base + "/signin/openid?to=" + url.QueryEscape(to))
	action := regexp.MustCompile(`<form method="post" action="([^"]+)"`).FindStringSubmatch(form.body)
	if action == nil {
		b.t.Fatalf("no form of the provider at %s (%d):\n%s", form.url, form.status, form.body)
	}
	target, err := form.url.Parse(strings.ReplaceAll(action[1], "&amp;", "&"))
	must(b.t, err)
	return b.read(b.client.PostForm(target.String(), url.Values{"login": {name + "@example.com"}, "password": {password}}))
}

func (b *browser) who(s *tallyman) string {
	b.t.Helper()
	answer := b.get(s.base + "/api/v1/me")
	var me struct{ Name, Reach string }
	if answer.status != http.StatusOK {
		return fmt.Sprint(answer.status)
	}
	must(b.t, json.Unmarshal([]byte(answer.body), &me))
	return me.Name + " " + me.Reach
}

func TestSignIn(t *testing.T) {
	p, program := startProvider(t), build(t)
	p.add(t, "ada", "platform", "staff")
	p.add(t, "bob", "dev")
	p.add(t, "eve", "guests")
	s := serve(t, program, p)
	p.expect(t, s.base+"/signin/openid/back")

	ada := newBrowser(t)
	if first := ada.get(s.base + "/signin"); !strings.Contains(first.body, "Sign in with Acme ID") {
		t.Errorf("the sign-in page does not offer the provider:\n%s", first.body)
	}
	if at := ada.signIn(s, "ada", "/images?by=tag"); at.status != http.StatusOK || at.url.RequestURI() != "/tally/images?by=tag" {
		t.Fatalf("ada is led to %s (%d):\n%s", at.url, at.status, at.body)
	}
	if got := ada.who(s); got != "ada admin" {
		t.Errorf("ada is %s", got)
	}
	bob := newBrowser(t)
	bob.signIn(s, "bob", "https://evil.example/")
	if got := bob.who(s); got != "bob edit" {
		t.Errorf("bob is %s", got)
	}
	eve := newBrowser(t)
	if at := eve.signIn(s, "eve", "/"); at.status != http.StatusUnauthorized || !strings.Contains(at.body, "no role here") {
		t.Errorf("eve has no group of ours: %d\n%s", at.status, at.body)
	}
	if got := eve.who(s); got != "401" {
		t.Errorf("eve is %s", got)
	}

	// The provider takes a role back: the next sign-in ends what the old one opened.
	p.move(t, "bob", "staff")
	again := newBrowser(t)
	again.signIn(s, "bob", "/")
	if before, now := bob.who(s), again.who(s); before != "401" || now != "bob read" {
		t.Errorf("bob in other groups: the old session is %s, the new one %s", before, now)
	}
	if page := ada.get(s.base + "/settings/audit"); !strings.Contains(page.body, "signing in") || !strings.Contains(page.body, "bob") {
		t.Error("the audit log does not tell of the sign-ins")
	}
	if said := s.out.String(); strings.Contains(said, clientSecret) {
		t.Errorf("the program tells its secret:\n%s", said)
	}
}

// TestRefused: what comes back must belong to the flow that this browser began.
func TestRefused(t *testing.T) {
	p, program := startProvider(t), build(t)
	p.add(t, "ada", "platform")
	s := serve(t, program, p)
	p.expect(t, s.base+"/signin/openid/back")
	stop := func(b *browser) (back string) {
		b.client.CheckRedirect = func(req *http.Request, _ []*http.Request) error {
			if strings.HasSuffix(req.URL.Path, "/signin/openid/back") {
				back = req.URL.String()
				return http.ErrUseLastResponse
			}
			return nil
		}
		b.signIn(s, "ada", "/")
		b.client.CheckRedirect = nil
		if back == "" {
			t.Fatal("the provider does not send the browser back")
		}
		return back
	}
	ada := newBrowser(t)
	back := stop(ada)
	for name, try := range map[string]func() page{
		"a link from elsewhere in a fresh browser": func() page { return newBrowser(t).get(back) },
		"the answer to another browser's sign-in": func() page {
			other := newBrowser(t)
			stop(other)
			return other.get(back)
		},
		"no code": func() page {
			b := newBrowser(t)
			u, err := url.Parse(stop(b))
			must(t, err)
			q := u.Query()
			q.Set("code", "guessed-code")
			u.RawQuery = q.Encode()
			return b.get(u.String())
		},
		"a refusal of the provider's": func() page {
			b := newBrowser(t)
			u, err := url.Parse(stop(b))
			must(t, err)
			u.RawQuery = url.Values{"state": u.Query()["state"], "error": {"access_denied"}, "error_description": {"<script>alert(1)</script>"}}.Encode()
			return b.get(u.String())
		},
	} {
		got := try()
		if got.status != http.StatusUnauthorized || !strings.Contains(got.body, "Refused") || strings.Contains(got.body, "<script>alert") {
			t.Errorf("%s: %d\n%s", name, got.status, got.body)
		}
	}
	// The browser that began comes in, once.
	if got := ada.get(back); got.status != http.StatusOK || ada.who(s) != "ada admin" {
		t.Errorf("ada comes back to %d, and is %s", got.status, ada.who(s))
	}
	if got := ada.get(back); got.status != http.StatusUnauthorized {
		t.Errorf("the same answer again: %d", got.status)
	}
}

func TestProviderThatFails(t *testing.T) {
	p, program := startProvider(t), build(t)
	p.add(t, "ada", "platform")
	wrong := serve(t, program, p, "TALLYMAN_OIDC_CLIENT_SECRET=another-planted-secret")
	p.expect(t, wrong.base+"/signin/openid/back")
	at := newBrowser(t).signIn(wrong, "ada", "/")
	if at.status != http.StatusUnauthorized || !strings.Contains(at.body, "did not take the code") {
		t.Errorf("with a wrong secret: %d\n%s", at.status, at.body)
	}
	if strings.Contains(at.body+wrong.out.String(), "planted") {
		t.Errorf("a secret is told:\n%s\n%s", at.body, wrong.out)
	}
	// A provider that is away is no reason not to start, and passwords still work.
	away := serve(t, program, p, "TALLYMAN_OIDC_ISSUER=http://127.0.0.1:1", "TALLYMAN_ADMIN_PASSWORD="+password)
	b := newBrowser(t)
	if at := b.get(away.base + "/signin/openid"); at.status != http.StatusInternalServerError || !strings.Contains(at.body, "could not be checked") {
		t.Errorf("a provider that is away: %d\n%s", at.status, at.body)
	}
	b.read(b.client.PostForm(away.base+"/signin", url.Values{"user": {"admin"}, "password": {password}}))
	if got := b.who(away); got != "admin admin" {
		t.Errorf("with the password of the first administrator: %s", got)
	}
}
