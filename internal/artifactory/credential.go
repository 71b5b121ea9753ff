package artifactory

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// secretKind is what a secret looks like; it decides how it is sent and what
// is advised when it is refused.
type secretKind int

const (
	noSecret secretKind = iota
	jwtSecret
	referenceSecret // a short stand-in for a JWT that only the server can read
	apiKeySecret
	otherSecret // a password, or a kind we do not know
)

// credential is one user name and secret. It never formats itself.
type credential struct {
	user, secret string
	kind         secretKind
	claims       claims
}

// claims are the parts of a JWT that are read, never verified: the server does that.
type claims struct {
	Subject string
	Expires time.Time // zero = does not say
}

var (
	referenceShape = regexp.MustCompile(`^cmVmd[A-Za-z0-9+/=_-]{50,80}$`)
	apiKeyShape    = regexp.MustCompile(`^AKC[a-zA-Z0-9]{20,}$`)
)

func newCredential(user, secret string) credential {
	secret = strings.TrimSpace(secret)
	c := credential{user: strings.TrimSpace(user), secret: secret, kind: otherSecret}
	switch cl, isJWT := readJWT(secret); {
	case secret == "":
		c.kind = noSecret
	case isJWT:
		c.kind, c.claims = jwtSecret, cl
	case referenceShape.MatchString(secret):
		c.kind = referenceSecret
	case apiKeyShape.MatchString(secret):
		c.kind = apiKeySecret
	}
	return c
}

// String keeps the secret out of every log and error, whatever verb is used.
func (c credential) String() string   { return "credential of " + c.user }
func (c credential) GoString() string { return c.String() }

// authorize sets what the credential sends ahead of being asked.
func (c credential) authorize(h http.Header) {
	switch {
	case c.kind == noSecret:
	case c.user != "":
		h.Set("Authorization", basic(c.user, c.secret))
	default:
		h.Set("Authorization", "Bearer "+c.secret)
	}
}

// basic is what a token endpoint takes; a JWT alone names its own user.
func (c credential) basic() string {
	user := c.user
	if user == "" {
		user = c.owner()
	}
	if c.kind == noSecret || user == "" {
		return ""
	}
	return basic(user, c.secret)
}

// owner is the user that a JWT belongs to: the text after the last "/" of a
// subject like "jfac@id/users/alice", else the whole subject.
func (c credential) owner() string {
	subject := c.claims.Subject
	if !strings.Contains(subject, "/users/") {
		return subject
	}
	return subject[strings.LastIndex(subject, "/")+1:]
}

func basic(user, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret))
}

// readJWT decodes the claims of a JSON web token without verifying it.
func readJWT(s string) (claims, bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || !strings.HasPrefix(s, "eyJ") || len(s) > 64<<10 {
		return claims{}, false
	}
	body, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return claims{}, false
	}
	var c struct {
		Sub string  `json:"sub"`
		Exp float64 `json:"exp"`
	}
	if err := json.Unmarshal(body, &c); err != nil {
		return claims{}, false
	}
	out := claims{Subject: c.Sub}
	if c.Exp > 0 && c.Exp < 1e12 {
		out.Expires = time.Unix(int64(c.Exp), 0).UTC()
	}
	return out, true
}
