package artifactorytest

import (
	"crypto/subtle"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The words of refusal.
const (
	msgRequired    = "Authentication is required"
	msgBad         = "Bad Credentials"
	msgUnknown     = "Props Authentication Token not found"
	msgExpired     = "Token failed verification: expired"
	msgRevoked     = "Token failed verification: revoked"
	msgPrincipal   = "Token principal mismatch."
	basicChallenge = `Basic realm="Artifactory Realm"`
)

// refusal is why a credential was not accepted.
type refusal struct {
	status  int
	message string
	basic   bool // the credential came as Basic
	missing bool // there was none
}

// credential is what a request brought.
type credential struct {
	kind   string // "", basic, bearer, key
	name   string
	secret string
}

func credentialOf(r *http.Request) credential {
	for _, h := range []string{"X-JFrog-Art-Api", "X-Api-Key"} {
		if key := r.Header.Get(h); key != "" {
			return credential{kind: "key", secret: key}
		}
	}
	if name, secret, ok := r.BasicAuth(); ok {
		return credential{kind: "basic", name: name, secret: secret}
	}
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return credential{kind: "bearer", secret: strings.TrimSpace(secret)}
	}
	return credential{}
}

// lockKey is what failures are counted by: the user, or the address where the
// credential names nobody.
func (c credential) lockKey(r *http.Request) string {
	if c.kind == "basic" {
		return "user " + c.name
	}
	host, _, _ := strings.Cut(r.RemoteAddr, ":")
	return c.kind + " " + host
}

// authenticate finds out who a request comes from. docker tokens are accepted
// only where docker says so.
func (s *Server) authenticate(r *http.Request, sw *Switches, docker bool) (identity, *refusal) {
	c := credentialOf(r)
	if c.kind == "" {
		if sw.Anonymous {
			return identity{name: anonymousName, anonymous: true}, nil
		}
		return identity{}, &refusal{status: http.StatusUnauthorized, message: msgRequired, missing: true}
	}
	key := c.lockKey(r)
	if msg := s.locks.blocked(key, sw); msg != "" {
		return identity{}, &refusal{status: http.StatusForbidden, message: msg, basic: c.kind == "basic"}
	}
	id, msg := s.check(c, docker)
	if msg == "" {
		s.locks.succeeded(key)
		s.gate.keep(c, id, sw.CredentialCache)
		return id, nil
	}
	if id, ok := s.gate.kept(c); ok {
		return id, nil
	}
	s.locks.failed(key, sw)
	status := http.StatusUnauthorized
	if c.kind == "key" {
		status = http.StatusForbidden
	}
	return identity{}, &refusal{status: status, message: msg, basic: c.kind == "basic"}
}

// check returns the identity of a credential, or the words of its refusal.
func (s *Server) check(c credential, docker bool) (identity, string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch c.kind {
	case "key":
		for _, u := range s.users {
			if u.APIKey != "" && same(u.APIKey, c.secret) {
				return u.identity(), ""
			}
		}
		return identity{}, msgBad
	case "bearer":
		return s.checkToken(c.secret, docker)
	}
	if t := s.tokens[c.secret]; t != nil && !t.docker {
		if t.subject != c.name {
			return identity{}, msgPrincipal
		}
		return s.checkToken(c.secret, docker)
	}
	u := s.users[c.name]
	if u == nil || u.Name == anonymousName || c.secret == "" || !same(u.Password, c.secret) && !same(u.APIKey, c.secret) {
		return identity{}, msgBad
	}
	return u.identity(), ""
}

func (s *Server) checkToken(secret string, docker bool) (identity, string) {
	t := s.tokens[secret]
	switch {
	case t == nil, t.docker && !docker:
		return identity{}, msgUnknown
	case t.revoked:
		return identity{}, msgRevoked
	case !t.expires.IsZero() && !s.clock.now().Before(t.expires):
		return identity{}, msgExpired
	}
	u := s.users[t.user]
	if u == nil {
		return identity{}, msgUnknown
	}
	return u.identity(), ""
}

func (u *user) identity() identity {
	return identity{name: u.Name, admin: u.Admin, anonymous: u.Name == anonymousName}
}

func same(want, got string) bool {
	return want != "" && subtle.ConstantTimeCompare([]byte(want), []byte(got)) == 1
}

// gate is the server's memory of good credentials: with it a revoked one goes
// on working for a while.
type gate struct {
	mu   sync.Mutex
	good map[credential]pass
}

type pass struct {
	id    identity
	until time.Time
}

func (g *gate) keep(c credential, id identity, d time.Duration) {
	if d <= 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.good == nil {
		g.good = map[credential]pass{}
	}
	g.good[c] = pass{id, time.Now().Add(d)}
}

func (g *gate) kept(c credential) (identity, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p, ok := g.good[c]
	return p.id, ok && time.Now().Before(p.until)
}

func (g *gate) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.good = nil
}
