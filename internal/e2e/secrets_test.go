package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/demo"
)

// planted are the secrets of one run, by what they are. Each is found by its text.
func planted() map[string]string {
	return map[string]string{
		"password of the registry":       "planted-registry-4f1c",
		"secret of the webhook":          "planted-hook-" + strings.Repeat("0123456789abcdef", 4),
		"address of the Slack channel":   "planted-slack-91bd",
		"secret of the webhook channel":  "planted-channel-77aa-0123456789",
		"sealing key":                    base64.StdEncoding.EncodeToString([]byte("planted-sealing-key-of-32-bytes!")),
		"first administrator's password": "planted admin password 52",
		"user's password":                "planted user password 63",
		"password that is wrong":         "planted wrong password 74",
		"token that is wrong":            "tally_planted-token-85",
		"variable of the image":          "planted-env-96cc",
		"password in a label":            "planted-label-a7dd",
	}
}

// heard is everything that a run says: logs, answers, output of commands.
type heard struct {
	t    *testing.T
	said map[string]string
}

func (h *heard) note(where, text string) { h.said[where] += text }

// request calls the server and keeps the whole answer, headers too.
func (h *heard) request(client *http.Client, method, address, token, contentType, body string, header ...string) (int, string) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	var head bytes.Buffer
	if err := res.Header.Write(&head); err != nil {
		h.t.Fatal(err)
	}
	h.note(method+" "+req.URL.Path, head.String()+string(answer))
	return res.StatusCode, string(answer)
}

// TestSecretsStaySecret plants secrets wherever one is given, does everything that people,
// machines and registries do, and then looks for them in whatever was said and kept.
func TestSecretsStaySecret(t *testing.T) {
	if testing.Short() {
		t.Skip("long: starts the program")
	}
	ctx, secrets := t.Context(), planted()
	h := &heard{t: t, said: map[string]string{}}
	server, target := secretRegistry(t, secrets)
	slack, hook := listenFor(t), listenFor(t)
	p := program{path: built(t), data: t.TempDir()}
	env := []string{"TALLYMAN_KEY=" + secrets["sealing key"], "TALLYMAN_ADMIN_PASSWORD=" + secrets["first administrator's password"]}
	say := func(stdin string, code int, args ...string) string {
		t.Helper()
		c := p.command(ctx, append(args, "--log-level", "debug")...)
		c.Env = append(c.Env, env...)
		c.Stdin = strings.NewReader(stdin)
		out, err := c.CombinedOutput()
		if got := c.ProcessState.ExitCode(); got != code {
			t.Errorf("tallyman %s: exit code %d, %v\n%s", strings.Join(args, " "), got, err, out)
		}
		h.note("tallyman "+strings.Join(args[:min(2, len(args))], " "), string(out))
		return string(out)
	}
	say(secrets["password of the registry"], 0, "integration", "add", "lab", "--url", server.URL(), "--username", reader, "--secret-stdin", "--repositories", realKey)
	say(secrets["secret of the webhook"], 0, "integration", "update", "lab", "--webhook-secret-stdin")
	say(slack.URL+"/services/"+secrets["address of the Slack channel"], 0, "notify", "add", "team", "--kind", "slack", "--url-stdin")
	say(secrets["secret of the webhook channel"], 0, "notify", "add", "hook", "--kind", "webhook", "--url", hook.URL, "--secret-stdin")
	say(secrets["user's password"], 0, "user", "add", "grace", "--role", "viewer")
	say("", 0, "advisories", "import", writeFlaws(t, 3))

	c := p.command(context.WithoutCancel(ctx), "serve", "--listen", "127.0.0.1:0", "--advisories-every", "off", "--log-level", "debug", "--log-format", "json")
	c.Env = append(c.Env, env...)
	serving := &serving{command: c, log: &record{}, done: make(chan error, 1)}
	c.Stdout, c.Stderr = serving.log, serving.log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { serving.done <- c.Wait() }()
	t.Cleanup(func() { serving.signal(syscall.SIGKILL) })
	serving.ready(t)
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(serving.log.String())
	subscribe(ctx, t, server, address+"/hooks/artifactory/lab", secrets["secret of the webhook"])
	waitFor(t, serving, "the first tag", func() bool { return strings.Contains(say("", 0, "images"), "analysed") })
	time.Sleep(1100 * time.Millisecond) // the registry's clock counts seconds
	pushImage(ctx, t, target, "team/new:1", stack(t, flawed(t, 1)))
	for who, in := range map[string]*inbox{"Slack": slack, "the webhook": hook} {
		select {
		case <-in.came:
		case <-time.After(60 * time.Second):
			t.Fatalf("nothing reached %s\n%s", who, serving.log)
		}
	}

	token := strings.TrimSpace(string(mustRun(t, p, env, "token", "create", "machine", "--scope", "admin")))
	h.everyPage(address, secrets)
	h.everyRoute(address, token, secrets)
	for _, args := range [][]string{
		{"integration", "list"},
		{"integration", "test", "lab"},
		{"images", "--format", "json"},
		{"status"},
		{"audit", "--format", "json"},
		{"user", "list"},
		{"token", "list"},
		{"notify", "list", "--format", "json"},
		{"notify", "test", "team"},
		{"notify", "preview", "team"},
		{"key", "rotate"},
		{"sbom", server.Host() + "/" + realKey + "/team/old:1"},
		{"cves", server.Host() + "/" + realKey + "/team/old:1", "--format", "json"},
	} {
		say("", 0, args...)
	}
	say(secrets["password that is wrong"], 1, "integration", "update", "nothing", "--secret-stdin")
	// A registry that refuses the secret, and one that is not there.
	server.AddUser(artifactorytest.User{Name: reader, Password: "changed"})
	say("", 1, "integration", "test", "lab")
	serving.stop(t)
	h.note("the log of serve", serving.log.String())
	h.silent(secrets)
	kept(t, p.data, secrets)
	if !strings.Contains(h.said["the log of serve"], "sign-in refused") || len(h.said) < 60 {
		t.Errorf("%d places were heard: the run is not whole", len(h.said))
	}
}

// secretRegistry has one image whose configuration holds secrets, and a user with another.
func secretRegistry(t *testing.T, secrets map[string]string) (*artifactorytest.Server, demo.Target) {
	t.Helper()
	server, target := simulator(t, demo.Key{Name: realKey, PackageType: "docker"})
	server.Change(func(s *artifactorytest.Switches) { s.PrivateTargets = true })
	server.AddUser(artifactorytest.User{Name: reader, Password: secrets["password of the registry"], Rules: []artifactorytest.Rule{{Repo: realKey}}})
	img := stack(t, flawed(t, 0))
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Config.Env = []string{"PATH=/bin", "DB_PASSWORD=" + secrets["variable of the image"]}
	config.Config.Labels = map[string]string{"mirror": "https://bot:" + secrets["password in a label"] + "@mirror.example/"}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	pushImage(t.Context(), t, target, "team/old:1", img)
	return server, target
}

func mustRun(t *testing.T, p program, env []string, args ...string) []byte {
	t.Helper()
	c := p.command(t.Context(), args...)
	c.Env = append(c.Env, env...)
	out, err := c.Output()
	if err != nil {
		t.Fatalf("tallyman %v: %v", args, err)
	}
	return out
}

func waitFor(t *testing.T, s *serving, what string, there func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !there(); time.Sleep(500 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within two minutes\n%s", what, s.log)
		}
	}
}

// everyPage signs in, once wrongly, and opens what an administrator can.
func (h *heard) everyPage(address string, secrets map[string]string) {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Timeout: time.Minute}
	const form = "application/x-www-form-urlencoded"
	signIn := func(password string) int {
		status, _ := h.request(browser, "POST", address+"/signin", "", form, url.Values{"user": {"admin"}, "password": {password}}.Encode())
		return status
	}
	if status := signIn(secrets["password that is wrong"]); status != http.StatusUnauthorized {
		h.t.Errorf("a wrong password: %d", status)
	}
	if status := signIn(secrets["first administrator's password"]); status != http.StatusOK {
		h.t.Fatalf("the right password: %d", status)
	}
	pages := []string{
		"/", "/images", "/vulnerabilities", "/packages", "/bases", "/activity", "/integrations", "/connect", "/integrations/lab", "/integrations/lab/sent",
		"/settings/account", "/settings/users", "/settings/tokens", "/settings/audit", "/settings/notifications", "/settings/notifications/team", "/settings/notifications/hook",
		"/settings/redaction", "/exceptions", "/watches", "/find?q=leaky-1",
	}
	for _, page := range pages {
		if status, _ := h.request(browser, "GET", address+page, "", "", ""); status != http.StatusOK {
			h.t.Errorf("%s: %d", page, status)
		}
	}
	// A form that is refused comes back without what was typed into it as a secret.
	for _, act := range []string{"test", "save"} {
		h.request(browser, "POST", address+"/connect", "", form, url.Values{
			"act": {act}, "name": {"bad name"}, "url": {"http://127.0.0.1:1"}, "secret": {secrets["password that is wrong"]}, "webhook_secret": {secrets["secret of the webhook"]},
		}.Encode())
	}
	h.request(browser, "POST", address+"/settings/users", "", form, url.Values{"name": {"bad name"}, "role": {"viewer"}, "password": {secrets["password that is wrong"]}}.Encode())
	h.request(browser, "POST", address+"/settings/account/password", "", form, url.Values{"old": {secrets["password that is wrong"]}, "new": {"short"}}.Encode())
}

// everyRoute asks every route that only reads, and some with what is wrong.
func (h *heard) everyRoute(address, token string, secrets map[string]string) {
	h.t.Helper()
	plain := &http.Client{Timeout: time.Minute}
	_, text := h.request(plain, "GET", address+"/api/v1/openapi.json", token, "", "")
	var doc struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	decode(h.t, []byte(text), &doc)
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		if _, reads := doc.Paths[path]["get"]; !reads || strings.Contains(path, "live") {
			continue
		}
		at := strings.NewReplacer("/integrations/{name}", "/integrations/lab", "/channels/{name}", "/channels/team", "/users/{name}", "/users/grace").Replace(path)
		h.request(plain, "GET", address+at+"?ref=team/old:1&q=leaky-1", token, "", "")
	}
	const kind = "application/json"
	wrong := secrets["password that is wrong"]
	body := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			h.t.Fatal(err)
		}
		return string(b)
	}
	type object = map[string]any
	for _, one := range []struct{ method, path, body string }{
		{"POST", "/api/v1/integrations", body(object{"name": "lab", "url": "https://x.example", "secret": wrong})},
		{"POST", "/api/v1/integrations", `{"secret":"` + wrong},
		{"POST", "/api/v1/integrations", body(object{"secret": []string{wrong}})},
		{"POST", "/api/v1/integrations", body(object{"name": "x", "url": "https://bot:" + secrets["password in a label"] + "@x.example"})},
		{"POST", "/api/v1/test-connection", body(object{"url": "http://127.0.0.1:1", "username": "x", "secret": wrong})},
		{"POST", "/api/v1/users", body(object{"name": "grace", "role": "viewer", "password": wrong})},
		{"PUT", "/api/v1/users/nobody", body(object{"password": wrong})},
		{"POST", "/api/v1/channels", body(object{"name": "x", "kind": "slack", "url": "http://169.254.169.254/" + secrets["address of the Slack channel"]})},
		{"POST", "/api/v1/channels/team/test", ""},
	} {
		h.request(plain, one.method, address+one.path, token, kind, one.body)
	}
	if status, _ := h.request(plain, "GET", address+"/api/v1/me", secrets["token that is wrong"], "", ""); status != http.StatusUnauthorized {
		h.t.Errorf("a wrong token: %d", status)
	}
	status, _ := h.request(plain, "POST", address+"/hooks/artifactory/lab", "", kind, `{"domain":"docker"}`, "X-JFrog-Event-Auth", secrets["password that is wrong"])
	if status != http.StatusUnauthorized {
		h.t.Errorf("a webhook with a wrong secret: %d", status)
	}
}

// forms are how a secret may look that somebody wrote down.
func forms(secret string) []string {
	return []string{secret, url.QueryEscape(secret), url.PathEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret))[:len(secret)/3*4], base64.RawURLEncoding.EncodeToString([]byte(reader + ":" + secret))[4:20]}
}

// silent fails the test for every place that tells a secret.
func (h *heard) silent(secrets map[string]string) {
	h.t.Helper()
	for where, text := range h.said {
		for what, secret := range secrets {
			for _, form := range forms(secret) {
				if i := strings.Index(text, form); i >= 0 {
					h.t.Errorf("%s tells the %s: …%.200s…", where, what, text[max(0, i-60):])
				}
			}
		}
	}
}

// kept fails the test for every file below dir that holds a secret.
func kept(t *testing.T, dir string, secrets map[string]string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		body, err := os.ReadFile(path)
		for what, secret := range secrets {
			for _, form := range forms(secret) {
				if bytes.Contains(body, []byte(form)) {
					t.Errorf("%s holds the %s", path, what)
				}
			}
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files looked at, %v", files, err)
	}
}
