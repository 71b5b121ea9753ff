package artifactorytest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
)

// Token describes an access token to issue.
type Token struct {
	User      string        // whose rights it has
	Subject   string        // of the JWT; "" is jfac@ID/users/USER
	Reference bool          // a short reference token instead of a JWT
	Lifetime  time.Duration // by the server's clock; 0 is for ever
}

type token struct {
	user    string
	subject string // the name that must go with it in Basic
	expires time.Time
	revoked bool
	docker  bool // of the docker token endpoint: good on docker paths only
}

// IssueToken makes a token and returns its secret.
func (s *Server) IssueToken(t Token) string {
	now := s.clock.now()
	rec := &token{user: t.User, subject: t.User}
	if t.Lifetime > 0 {
		rec.expires = now.Add(t.Lifetime)
	}
	var secret string
	if t.Reference {
		secret = "cmVmd" + randomLetters(59)
	} else {
		if t.Subject == "" {
			t.Subject = "jfac@" + s.nodeID + "/users/" + t.User
		}
		rec.subject = subjectUser(t.Subject)
		secret = s.jwt(t.Subject, now, rec.expires)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[secret] = rec
	return secret
}

// subjectUser is the user name that a JWT's subject stands for.
func subjectUser(subject string) string {
	if i := strings.LastIndex(subject, "/users/"); i >= 0 {
		return subject[i+len("/users/"):]
	}
	return subject
}

// RevokeToken makes a token refused as revoked.
func (s *Server) RevokeToken(secret string) {
	s.changeToken(secret, func(t *token) { t.revoked = true })
}

// ExpireToken makes a token refused as expired.
func (s *Server) ExpireToken(secret string) {
	s.changeToken(secret, func(t *token) { t.expires = s.clock.now().Add(-time.Second) })
}

func (s *Server) changeToken(secret string, change func(*token)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.tokens[secret]; old != nil {
		changed := *old
		change(&changed)
		s.tokens[secret] = &changed
	}
}

// ExpireDockerTokens makes every token of the docker token endpoint unknown.
func (s *Server) ExpireDockerTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for secret, t := range s.tokens {
		if t.docker {
			delete(s.tokens, secret)
		}
	}
}

// jwt writes a signed token as long as real ones are.
func (s *Server) jwt(subject string, now, expires time.Time) string {
	claims := map[string]any{
		"ext": `{"revocable":"true"}`, "sub": subject, "scp": "applied-permissions/user", "aud": "*@*",
		"iss": "jfac@" + s.nodeID, "iat": now.Unix(), "jti": randomHex(16), "pad": randomHex(180),
	}
	if !expires.IsZero() {
		claims["exp"] = expires.Unix()
	}
	head, errHead := json.Marshal(map[string]string{"ver": "2", "typ": "JWT", "alg": "HS256", "kid": randomHex(20)})
	payload, errPayload := json.Marshal(claims)
	if errHead != nil || errPayload != nil {
		panic("a map of strings and numbers is always JSON")
	}
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString(head) + "." + enc.EncodeToString(payload)
	mac := hmac.New(sha256.New, s.blobKey)
	mac.Write([]byte(signed))
	return signed + "." + enc.EncodeToString(mac.Sum(nil))
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func randomLetters(n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return string(b)
}
