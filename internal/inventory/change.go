package inventory

import "time"

// IntegrationChange is what somebody types about an integration: its settings and
// its secrets. On an update a blank secret keeps the one that is saved.
type IntegrationChange struct {
	Integration
	Secret        string `json:"secret,omitempty"` // password, token or API key
	WebhookSecret string `json:"webhook_secret,omitempty"`
}

// Secrets takes the secrets out of c.
func (c IntegrationChange) Secrets() Secrets {
	return Secrets{Password: c.Secret, Webhook: c.WebhookSecret}
}

// ConnectionTest asks whether an integration that need not be saved would work.
type ConnectionTest struct {
	IntegrationChange
	// Saved names the integration whose saved secret is used when Secret is blank.
	Saved string `json:"saved,omitempty"`
}

// NewToken asks for a machine's credential.
type NewToken struct {
	Name    string     `json:"name"`
	Scope   string     `json:"scope"`
	Expires *time.Time `json:"expires,omitempty"`
	// Integrations that a token of scope ingest may write to; none = those of the watcher
	// that has the token's name.
	Integrations []string `json:"integrations,omitempty"`
}

// TokenSecret is the answer: the only time that the secret is seen.
type TokenSecret struct {
	Name   string `json:"name"`
	Scope  string `json:"scope"`
	Secret string `json:"secret"`
}

// NewSigninLink asks for a one-time way into the dashboard: for a user, or, without one,
// for whoever sets Tallyman up.
type NewSigninLink struct {
	User string `json:"user,omitempty"`
}

// SigninLink is a one-time way into the dashboard.
type SigninLink struct {
	Path    string    `json:"path"` // "/signin/…" or "/setup/…", below the address of the dashboard
	Expires time.Time `json:"expires"`
}
