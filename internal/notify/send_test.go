package notify_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/notify"
	"github.com/tallyman-dev/tallyman/internal/seal"
	"github.com/tallyman-dev/tallyman/internal/store"
	"github.com/tallyman-dev/tallyman/internal/store/storetest"
)

// open is a real ledger of its own.
func open(t *testing.T) *store.Store {
	t.Helper()
	return openIn(t, t.TempDir())
}

func openIn(t *testing.T, dir string) *store.Store {
	t.Helper()
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Options{Dir: dir, Key: key, KeysOf: storetest.KeysOf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// receiver is a real listener that remembers what it was sent.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	header []http.Header
	answer func(w http.ResponseWriter, r *http.Request)
}

func listen(t *testing.T) *receiver {
	t.Helper()
	rc := &receiver{}
	rc.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		rc.mu.Lock()
		rc.bodies, rc.header = append(rc.bodies, string(body)), append(rc.header, r.Header)
		answer := rc.answer
		rc.mu.Unlock()
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(rc.Close)
	return rc
}

func (rc *receiver) answers(f func(w http.ResponseWriter, r *http.Request)) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.answer = f
}

// received is how many messages came.
func (rc *receiver) received() int {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return len(rc.bodies)
}

func (rc *receiver) notices(t *testing.T) (all []inventory.Notice) {
	t.Helper()
	rc.mu.Lock()
	defer rc.mu.Unlock()
	for _, body := range rc.bodies {
		var n inventory.Notice
		if err := json.Unmarshal([]byte(body), &n); err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

// queueOne puts one message into the outbox of a channel.
func queueOne(t *testing.T, s *store.Store, channel int64, id string) {
	t.Helper()
	err := s.SaveNotices(t.Context(), nil, []inventory.Draft{{Channel: channel, Notice: inventory.Notice{
		ID: id, Event: inventory.NewsKEV, At: storetest.Start, Title: "title of " + id,
	}}})
	if err != nil {
		t.Fatal(err)
	}
}

func add(t *testing.T, s *store.Store, c inventory.ChannelChange) int64 {
	t.Helper()
	if err := s.AddChannel(t.Context(), c, "receiver.example"); err != nil {
		t.Fatal(err)
	}
	made, err := s.Channel(t.Context(), c.Name)
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

const secretPath = "/services/T0/B0/very-secret"

func TestWebhooksAreSigned(t *testing.T) {
	s, rc := open(t), listen(t)
	id := add(t, s, inventory.ChannelChange{Name: "siem", Kind: inventory.ChannelWebhook, URL: rc.URL, Secret: "signed with this word"})
	queueOne(t, s, id, "evt_1")
	n := notify.New(s, notify.Options{Client: notify.NewClient()})
	for range 2 { // a job may run twice
		if err := n.Send(t.Context(), "evt_1"); err != nil {
			t.Fatal(err)
		}
	}
	all := rc.notices(t)
	if len(all) != 1 || all[0].ID != "evt_1" {
		t.Fatalf("%+v", all)
	}
	h := rc.header[0]
	want := notify.Sign("signed with this word", h.Get(notify.HeaderTimestamp), []byte(rc.bodies[0]))
	if h.Get(notify.HeaderSignature) != want || len(want) != 64 || h.Get(notify.HeaderEvent) != "evt_1" || h.Get(notify.HeaderTimestamp) == "" {
		t.Errorf("%v", h)
	}
	d, _, err := s.Delivery(t.Context(), "evt_1")
	if err != nil || d.State != inventory.DeliverySent || d.Receipt != "HTTP 200" {
		t.Errorf("%+v %v", d, err)
	}
}

func TestWhatReceiversAnswer(t *testing.T) {
	redirected := listen(t)
	for _, c := range []struct {
		name, kind string
		answer     func(w http.ResponseWriter, r *http.Request)
		retry      bool
		words      string
	}{
		{"down", inventory.ChannelWebhook, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, true, "answered 503"},
		{"missing", inventory.ChannelWebhook, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, true, "answered 404"},
		{"gone", inventory.ChannelWebhook, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) }, false, "answered 410"},
		{"talks", inventory.ChannelWebhook, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "internal-token=abc", 500) }, true, "answered 500 ("},
		{"slack says", inventory.ChannelSlack, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no_service", 404) }, false, "404: no_service"},
		{"slack is busy", inventory.ChannelSlack, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, true, "answered 429"},
		{"redirects", inventory.ChannelSlack, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, redirected.URL, http.StatusTemporaryRedirect)
		}, false, "redirects"},
		{"hangs up", inventory.ChannelWebhook, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true, "cannot be reached"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, rc := open(t), listen(t)
			rc.answers(c.answer)
			id := add(t, s, inventory.ChannelChange{Name: "team", Kind: c.kind, URL: rc.URL + secretPath, Secret: "signed with this word"})
			queueOne(t, s, id, "evt_1")
			var log bytes.Buffer
			n := notify.New(s, notify.Options{Client: notify.NewClient(), Log: slog.New(slog.NewTextHandler(&log, nil))})
			err := n.Send(t.Context(), "evt_1")
			if err == nil || errors.Is(err, inventory.ErrUnavailable) != c.retry {
				t.Errorf("retry = %t: %v", !c.retry, err)
			}
			d, _, dErr := s.Delivery(t.Context(), "evt_1")
			if dErr != nil || d.State != inventory.DeliveryWaiting || d.Attempts != 1 || !strings.Contains(d.Problem, c.words) {
				t.Errorf("%+v %v", d, dErr)
			}
			if err := n.GiveUp(t.Context(), "evt_1", err); err != nil {
				t.Fatal(err)
			}
			d, _, dErr = s.Delivery(t.Context(), "evt_1")
			if dErr != nil || d.State != inventory.DeliveryDead {
				t.Errorf("%+v %v", d, dErr)
			}
			for _, secret := range []string{"very-secret", "signed with", "internal-token"} {
				if strings.Contains(fmt.Sprint(err, d, log.String()), secret) {
					t.Errorf("%q is told: %v %+v %s", secret, err, d, log.String())
				}
			}
			if n.Send(t.Context(), "evt_1") != nil || rc.received() != 1 {
				t.Error("what was given up is sent")
			}
			rc.answers(nil)
			if n, err := s.Replay(t.Context(), inventory.DeliveryFilter{Channel: "team", State: inventory.DeliveryDead}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			if err := n.Send(t.Context(), "evt_1"); err != nil {
				t.Errorf("replayed: %v", err)
			}
		})
	}
	if len(redirected.bodies) != 0 {
		t.Error("a redirect was followed")
	}
}

func TestUnreachableTellsNoAddress(t *testing.T) {
	s, rc := open(t), listen(t)
	rc.Close()
	for name, url := range map[string]string{"closed": rc.URL, "metadata": "http://169.254.169.254", "nowhere": "http://receiver.invalid", "none": "ftp://x"} {
		add(t, s, inventory.ChannelChange{Name: name, Kind: inventory.ChannelSlack, URL: url + secretPath})
		res, err := notify.New(s, notify.Options{Client: notify.NewClient()}).TestChannel(t.Context(), name)
		if err != nil || res.OK || res.Error == "" || strings.Contains(res.Error+res.Remedy, "very-secret") {
			t.Errorf("%s: %+v %v", name, res, err)
		}
		if name == "metadata" && !strings.Contains(res.Error, "link-local") {
			t.Errorf("%+v", res)
		}
	}
	// A name that leads there is refused when it is called.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://[fe80::1%25lo]:80/", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := notify.NewClient().Do(req)
	if err == nil {
		res.Body.Close()
	}
	if !errors.Is(err, inventory.ErrForbidden) {
		t.Errorf("link-local: %v", err)
	}
}

// mailServer is a small SMTP server with STARTTLS.
type mailServer struct {
	addr  string
	roots *x509.CertPool
	mu    sync.Mutex
	lines []string
}

func serveMail(t *testing.T, offerTLS bool, refuse string) *mailServer {
	t.Helper()
	ts := httptest.NewUnstartedServer(nil)
	ts.StartTLS() // for its certificate
	t.Cleanup(ts.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	m := &mailServer{addr: l.Addr().String(), roots: x509.NewCertPool()}
	m.roots.AddCert(ts.Certificate())
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go m.talk(conn, offerTLS, refuse, &tls.Config{Certificates: ts.TLS.Certificates}) //nolint:gosec // a test
		}
	}()
	return m
}

func (m *mailServer) talk(conn net.Conn, offerTLS bool, refuse string, settings *tls.Config) {
	defer conn.Close()
	in, secure, data := bufio.NewReader(conn), false, false
	fmt.Fprint(conn, "220 mail\r\n")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		m.mu.Lock()
		m.lines = append(m.lines, fmt.Sprintf("%t %s", secure, line))
		m.mu.Unlock()
		verb, _, _ := strings.Cut(line, " ")
		switch {
		case data && line != ".":
		case data:
			data = false
			fmt.Fprint(conn, "250 taken\r\n")
		case refuse != "" && strings.HasPrefix(refuse, verb+" "):
			fmt.Fprint(conn, strings.TrimPrefix(refuse, verb+" ")+"\r\n")
		case verb == "EHLO" && offerTLS && !secure:
			fmt.Fprint(conn, "250-mail\r\n250 STARTTLS\r\n")
		case verb == "EHLO":
			fmt.Fprint(conn, "250-mail\r\n250 AUTH PLAIN\r\n")
		case verb == "STARTTLS":
			fmt.Fprint(conn, "220 go on\r\n")
			conn, secure = tls.Server(conn, settings), true
			in = bufio.NewReader(conn)
		case verb == "AUTH":
			fmt.Fprint(conn, "235 welcome\r\n")
		case verb == "DATA":
			data = true
			fmt.Fprint(conn, "354 go on\r\n")
		case verb == "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
			return
		default:
			fmt.Fprint(conn, "250 fine\r\n")
		}
	}
}

func TestMail(t *testing.T) {
	for _, c := range []struct {
		name      string
		offer     bool
		refuse    string
		user      string
		plain     bool
		words     string // of the error; empty = it is taken
		untrusted bool
		mayPass   bool
	}{
		{name: "encrypted, with a password", offer: true, user: "tallyman"},
		{name: "encrypted, without", offer: true},
		{name: "no encryption", words: "offers no encryption"},
		{name: "no encryption is allowed", plain: true},
		{name: "never with a password", plain: true, user: "tallyman", words: "the password is not sent"},
		{name: "unknown authority", offer: true, untrusted: true, words: "not trusted"},
		{name: "refused for good", offer: true, refuse: "RCPT 550 nobody", words: "550"},
		{name: "refused for now", offer: true, refuse: "MAIL 451 later", words: "451", mayPass: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, m := open(t), serveMail(t, c.offer, c.refuse)
			settings := &inventory.Mail{Server: m.addr, Username: c.user, From: "t@example.com", To: []string{"a@example.com", "b@example.com"}, Plain: c.plain}
			id := add(t, s, inventory.ChannelChange{Name: "boss", Kind: inventory.ChannelMail, Secret: "pass-word-1", Mail: settings})
			queueOne(t, s, id, "evt_1")
			o := notify.Options{Roots: m.roots}
			if c.untrusted {
				o.Roots = x509.NewCertPool()
			}
			err := notify.New(s, o).Send(t.Context(), "evt_1")
			m.mu.Lock()
			defer m.mu.Unlock()
			said := strings.Join(m.lines, "\n")
			if c.words != "" {
				if err == nil || !strings.Contains(err.Error(), c.words) || errors.Is(err, inventory.ErrUnavailable) != c.mayPass || strings.Contains(err.Error(), "pass-word") {
					t.Errorf("%v\n%s", err, said)
				}
				if strings.Contains(said, "AUTH") {
					t.Errorf("the password was sent:\n%s", said)
				}
				return
			}
			if err != nil || !strings.Contains(said, "Message-ID: <evt_1@example.com>") || !strings.Contains(said, "RCPT TO:<b@example.com>") {
				t.Errorf("%v\n%s", err, said)
			}
			if c.user != "" && !strings.Contains(said, "true AUTH PLAIN") {
				t.Errorf("not signed in:\n%s", said)
			}
		})
	}
}

// TestEventIDIsInBodyAndHeader holds for every kind of channel.
func TestEventIDIsInBodyAndHeader(t *testing.T) {
	s, rc := open(t), listen(t)
	for _, kind := range []string{inventory.ChannelSlack, inventory.ChannelWebhook} {
		id := add(t, s, inventory.ChannelChange{Name: kind, Kind: kind, URL: rc.URL, Secret: "signed with this word"})
		queueOne(t, s, id, "evt_"+kind)
		if err := notify.New(s, notify.Options{}).Send(t.Context(), "evt_"+kind); err != nil {
			t.Fatal(err)
		}
	}
	for i, body := range rc.bodies {
		if id := rc.header[i].Get(notify.HeaderEvent); !strings.Contains(body, id) || id == "" {
			t.Errorf("%q is not in %s", id, body)
		}
	}
	if !slices.ContainsFunc(rc.bodies, func(b string) bool { return strings.Contains(b, `"blocks":[{"type":"header"`) }) {
		t.Error("no message in Slack's form")
	}
}
