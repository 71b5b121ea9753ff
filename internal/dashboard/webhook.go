package dashboard

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// hookPanel is what has to be set up in Artifactory to be told of pushes.
type hookPanel struct {
	URL     string
	Secret  string // only right after it was made or typed
	JSON    string
	Set     bool
	Warning string // of a secret that was taken
	Where   string // where a subscription is sent
}

// longSecret is how many characters a webhook's secret should have.
const longSecret = 64

// newHookSecret makes a secret for the webhook, or takes the one that was typed, and
// shows it this once.
func (d *Dashboard) newHookSecret(w http.ResponseWriter, r *http.Request, v visit) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	in, err := d.Hub.Get(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	hook := hookPanel{Secret: strings.TrimSpace(r.PostFormValue("own"))}
	hook.Warning = shortSecret(hook.Secret)
	if hook.Secret == "" {
		hook.Secret = randomHex(longSecret / 2)
	}
	in, err = d.Hub.Update(r.Context(), in.Name, inventory.IntegrationChange{Integration: in, WebhookSecret: hook.Secret})
	if err != nil {
		return err
	}
	return d.showForm(w, r, v, http.StatusOK, formPage{Saved: in, Form: formOf(in), Hook: hook})
}

// shortSecret warns of a secret that is shorter than it should be; it is taken.
func shortSecret(s string) string {
	n := utf8.RuneCountInString(s)
	if n == 0 || n >= longSecret {
		return ""
	}
	return "The secret has " + some(n, "character", "characters") + ". It is taken, but whoever guesses it can make Tallyman look at your registry as often as they like: 64 random ones are advised."
}

// hookURL is where Artifactory sends its webhooks.
func (d *Dashboard) hookURL(r *http.Request, name string) string {
	return d.address(r) + "/hooks/artifactory/" + url.PathEscape(name)
}

// address is how others reach us, without a slash at the end.
func (d *Dashboard) address(r *http.Request) string {
	if d.PublicURL != "" {
		return strings.TrimRight(d.PublicURL, "/")
	}
	scheme := "http"
	if d.secure(r) {
		scheme = "https"
	}
	return scheme + "://" + r.Host + d.Base
}

// originOf is scheme, host and port of an address.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Scheme + "://" + u.Host
}

// subscription is the webhook as Artifactory's REST interface takes it.
func subscription(in inventory.Integration, target, secret string) string {
	key := strings.Map(func(r rune) rune {
		if r == '.' {
			return '-'
		}
		return r
	}, "tallyman-"+in.Name)
	keys := in.Repositories
	if keys == nil {
		keys = []string{}
	}
	type object = map[string]any
	b, err := json.MarshalIndent(object{
		"key": key, "description": "Tells Tallyman of pushes", "enabled": true,
		"event_filter": object{
			"domain": "docker", "event_types": []string{"pushed", "deleted", "promoted"},
			"criteria": object{
				"anyLocal": len(keys) == 0, "anyRemote": len(keys) == 0, "anyFederated": len(keys) == 0,
				"repoKeys": keys, "includePatterns": []string{}, "excludePatterns": []string{},
			},
		},
		"handlers": []object{{"handler_type": "webhook", "url": target, "secret": secret, "use_secret_for_signing": true}},
	}, "", "  ")
	if err != nil {
		return ""
	}
	return string(b)
}

// subscriptionsOf is where the Artifactory of an integration takes subscriptions.
func subscriptionsOf(in inventory.Integration) string {
	return strings.TrimSuffix(strings.TrimRight(in.URL, "/"), "/artifactory") + "/event/api/v1/subscriptions"
}
