package inventory

import (
	"strings"
	"time"
)

// Roles of people, weakest first.
const (
	RoleViewer = "viewer"
	RoleEditor = "editor"
	RoleAdmin  = "admin"
)

// Roles are all of them, weakest first.
var Roles = [...]string{RoleViewer, RoleEditor, RoleAdmin}

// How an account is signed in to.
const (
	SourcePassword = "password"
	SourceOIDC     = "oidc"
	SourceLink     = "link" // neither: only by a one-time link
)

// User is who is signed in.
type User struct {
	Name string `json:"name"`
	Role string `json:"role"` // viewer, editor, admin
}

// Account is somebody who may sign in.
type Account struct {
	Name       string     `json:"name"`
	Role       string     `json:"role"`
	Source     string     `json:"source"` // password, oidc, link
	Created    time.Time  `json:"created"`
	LastSignin *time.Time `json:"last_signin,omitempty"`
	Sessions   int        `json:"sessions"` // that are open now
}

// NewAccount asks for an account. Without a password only a one-time link leads in.
type NewAccount struct {
	Name     string `json:"name"`
	Role     string `json:"role"`
	Password string `json:"password,omitempty"`
}

// AccountChange changes an account; what is blank stays. Either change ends its sessions.
type AccountChange struct {
	Role     string `json:"role,omitempty"`
	Password string `json:"password,omitempty"`
}

// External is somebody whom an OpenID provider vouches for.
type External struct {
	Issuer  string
	Subject string // what the provider calls them for ever
	Name    string // what to call them here
	Role    string // the role that the provider gives them; empty = the one they have here
	First   string // the role of a newcomer whom the provider gives none
}

// Visitor is where somebody signs in from.
type Visitor struct {
	Address string // IP address
	Agent   string // what the browser says it is
}

// Session is a browser that is signed in, without its secret.
type Session struct {
	ID       string    `json:"id"`
	User     string    `json:"user"`
	Created  time.Time `json:"created"`
	LastUsed time.Time `json:"last_used"` // to the minute
	Expires  time.Time `json:"expires"`
	Address  string    `json:"address,omitempty"`
	Agent    string    `json:"agent,omitempty"`
}

// Ended counts sessions that were ended.
type Ended struct {
	Sessions int `json:"sessions"`
}

// maxUserName is how many characters a user's name has at most.
const maxUserName = 64

// CheckUserName refuses what is not a name for a user: letters, digits and - _ . @ +,
// beginning with a letter or digit.
func CheckUserName(name string) error {
	if CleanUserName(name) == name && name != "" {
		return nil
	}
	if r := []rune(name); len(r) > maxUserName {
		name = string(r[:maxUserName]) + "…"
	}
	return Errorf(ErrInvalid, "%q is not a name for a user", name).
		WithRemedy("use letters, digits and - _ . @ +, at most %d, beginning with a letter or digit", maxUserName)
}

// CleanUserName makes a name of what an OpenID provider calls somebody; empty when
// nothing of it can be one.
func CleanUserName(name string) string {
	var b strings.Builder
	for _, r := range name {
		alnum := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		switch {
		case alnum, b.Len() > 0 && strings.ContainsRune("-_.@+", r):
			b.WriteRune(r)
		case b.Len() > 0:
			b.WriteByte('-')
		}
		if b.Len() == maxUserName {
			break
		}
	}
	return b.String()
}

// SigninFlow is what a browser keeps while somebody signs in at an OpenID provider.
type SigninFlow struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"` // of PKCE
}
