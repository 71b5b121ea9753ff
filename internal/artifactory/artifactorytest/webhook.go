package artifactorytest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Subscription is one webhook, in the shape of its REST calls.
type Subscription struct {
	Key         string      `json:"key"`
	Description string      `json:"description,omitempty"`
	Enabled     bool        `json:"enabled"`
	EventFilter EventFilter `json:"event_filter"`
	Handlers    []Handler   `json:"handlers"`
}

// EventFilter says which events a subscription is for.
type EventFilter struct {
	Domain     string   `json:"domain"`
	EventTypes []string `json:"event_types"`
	Criteria   Criteria `json:"criteria"`
}

// Criteria says which repositories and paths.
type Criteria struct {
	AnyLocal        bool     `json:"anyLocal"`
	AnyRemote       bool     `json:"anyRemote"`
	AnyFederated    bool     `json:"anyFederated"`
	RepoKeys        []string `json:"repoKeys"`
	IncludePatterns []string `json:"includePatterns,omitempty"`
	ExcludePatterns []string `json:"excludePatterns,omitempty"`
}

// Handler is where the events go.
type Handler struct {
	HandlerType string      `json:"handler_type"`
	URL         string      `json:"url"`
	Secret      string      `json:"secret,omitempty"`
	Sign        bool        `json:"use_secret_for_signing"`
	Proxy       string      `json:"proxy,omitempty"`
	Headers     []HeaderSet `json:"custom_http_headers,omitempty"`
}

// HeaderSet is one header that every delivery carries.
type HeaderSet struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// DockerWebhook is a subscription to everything about images anywhere.
func DockerWebhook(key, target, secret string, sign bool) Subscription {
	return Subscription{
		Key: key, Enabled: true,
		EventFilter: EventFilter{
			Domain: "docker", EventTypes: []string{"pushed", "deleted", "promoted"},
			Criteria: Criteria{AnyLocal: true, AnyRemote: true, AnyFederated: true},
		},
		Handlers: []Handler{{HandlerType: "webhook", URL: target, Secret: secret, Sign: sign}},
	}
}

var subscriptionKey = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_\-]+$`)

var domainEvents = map[string][]string{
	"docker":            {"pushed", "deleted", "promoted"},
	"artifact":          {"deployed", "deleted", "moved", "copied", "cached"},
	"artifact_property": {"added", "deleted"},
}

// validate tells what the event service would not save.
func (sub *Subscription) validate(privateTargets bool) error {
	switch {
	case !subscriptionKey.MatchString(sub.Key):
		return fmt.Errorf("invalid key %q", sub.Key)
	case len(sub.Handlers) != 1:
		return fmt.Errorf("exactly one handler is needed")
	case domainEvents[sub.EventFilter.Domain] == nil:
		return fmt.Errorf("unknown domain %q", sub.EventFilter.Domain)
	case len(sub.EventFilter.EventTypes) == 0:
		return fmt.Errorf("no event types")
	}
	for _, t := range sub.EventFilter.EventTypes {
		if !slices.Contains(domainEvents[sub.EventFilter.Domain], t) {
			return fmt.Errorf("unknown event type %q", t)
		}
	}
	u, err := url.Parse(sub.Handlers[0].URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("invalid URL")
	}
	if !privateTargets && isPrivate(u.Hostname()) {
		return fmt.Errorf("Validation Error - unable to validate subscription") //nolint:staticcheck // the product's own words
	}
	return nil
}

func isPrivate(host string) bool {
	ip := net.ParseIP(host)
	if ip == nil {
		return host == "localhost" || strings.HasSuffix(host, ".localhost")
	}
	return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified()
}

// Subscribe adds or replaces a webhook.
func (s *Server) Subscribe(sub Subscription) error {
	if err := sub.validate(s.snapshot().PrivateTargets); err != nil {
		return fmt.Errorf("subscribe %s: %w", sub.Key, err)
	}
	s.hooks.put(sub)
	return nil
}

// Unsubscribe removes a webhook.
func (s *Server) Unsubscribe(key string) { s.hooks.remove(key) }

// subscriptions answers the REST calls of the event service.
func (c *call) subscriptions(path string) {
	if !c.signInAdmin() {
		return
	}
	key, ok := strings.CutPrefix(path, "subscriptions")
	if !ok {
		c.notFound()
		return
	}
	key = strings.Trim(key, "/")
	switch {
	case key == "" && c.r.Method == http.MethodGet:
		c.json(http.StatusOK, "application/json", c.s.hooks.all())
	case key == "" && c.r.Method == http.MethodPost:
		c.saveSubscription("", http.StatusCreated)
	case key == "test" && c.r.Method == http.MethodPost:
		c.testSubscription()
	case c.s.hooks.get(key) == nil:
		c.status(http.StatusNotFound, "subscription "+key+" not found")
	case c.r.Method == http.MethodGet:
		c.json(http.StatusOK, "application/json", c.s.hooks.get(key))
	case c.r.Method == http.MethodPut:
		c.saveSubscription(key, http.StatusNoContent)
	case c.r.Method == http.MethodDelete:
		c.s.hooks.remove(key)
		c.w.WriteHeader(http.StatusNoContent)
	default:
		c.allow(http.MethodGet, http.MethodPut, http.MethodDelete)
	}
}

func (c *call) readSubscription() (Subscription, bool) {
	var sub Subscription
	raw, err := c.readAll(256 << 10)
	if err == nil {
		err = json.Unmarshal(raw, &sub)
	}
	if err == nil {
		err = sub.validate(c.sw.PrivateTargets)
	}
	if err != nil {
		c.status(http.StatusBadRequest, err.Error())
	}
	return sub, err == nil
}

func (c *call) saveSubscription(key string, done int) {
	sub, ok := c.readSubscription()
	if !ok {
		return
	}
	if key != "" {
		sub.Key = key
	} else if c.s.hooks.get(sub.Key) != nil {
		c.status(http.StatusBadRequest, "subscription "+sub.Key+" exists")
		return
	}
	c.s.hooks.put(sub)
	if done == http.StatusCreated {
		c.json(done, "application/json", sub)
		return
	}
	c.w.WriteHeader(done)
}

func (c *call) testSubscription() {
	sub, ok := c.readSubscription()
	if !ok {
		return
	}
	if err := c.s.sendTestFor(c.r, sub); err != nil {
		c.status(http.StatusBadRequest, err.Error())
		return
	}
	c.json(http.StatusOK, "application/json", map[string]any{"status_code": http.StatusOK})
}

func (s *Server) sendTestFor(r *http.Request, sub Subscription) error {
	return s.SendTest(r.Context(), sub)
}
