package artifactorytest

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

func (c *call) ping() {
	if !c.sw.PingOpen || credentialOf(c.r).kind != "" {
		if !c.signIn() {
			return
		}
	}
	c.text(http.StatusOK, "OK")
}

func (c *call) readiness() {
	c.bytes(http.StatusOK, "application/json", []byte(`{"code":"OK"}`))
}

func (c *call) version() {
	if !c.signIn() {
		return
	}
	v := struct {
		Version  string   `json:"version"`
		Revision string   `json:"revision"`
		Addons   []string `json:"addons"`
		License  string   `json:"license,omitempty"`
	}{c.sw.Version, c.sw.Revision, []string{"build", "docker", "properties", "rest"}, ""}
	if c.sw.License {
		v.License = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
	}
	c.json(http.StatusOK, "application/vnd.org.jfrog.artifactory.system.Version+json", v)
}

type serviceHealth struct {
	ServiceID string `json:"service_id"`
	NodeID    string `json:"node_id"`
	State     string `json:"state"`
	Message   string `json:"message"`
}

func routerState(node, state, message string) any {
	return map[string]any{
		"router":   map[string]string{"node_id": node, "state": "HEALTHY", "message": "OK"},
		"services": []serviceHealth{{"jfrt@" + node, node, state, message}},
	}
}

func (c *call) routerHealth() {
	c.json(http.StatusOK, "application/json", routerState(c.s.nodeID, "HEALTHY", "OK"))
}

// createToken answers the REST call that makes a token for who asks, or, for
// an administrator, for anybody.
func (c *call) createToken() {
	if !c.allow(http.MethodPost) || !c.signIn() {
		return
	}
	want, err := c.tokenRequest()
	switch {
	case err != nil:
		c.status(http.StatusBadRequest, "Invalid token request")
		return
	case c.id.anonymous, !c.id.admin && want.Username != "" && want.Username != c.id.name:
		c.status(http.StatusForbidden, "Forbidden")
		return
	case want.Username == "":
		want.Username = c.id.name
	}
	life := time.Duration(want.ExpiresIn) * time.Second
	answer := map[string]any{
		"token_id":     randomHex(16),
		"access_token": c.s.IssueToken(Token{User: want.Username, Lifetime: life}),
		"expires_in":   want.ExpiresIn,
		"scope":        "applied-permissions/user",
		"token_type":   "Bearer",
	}
	if want.Reference && c.sw.ReferenceTokens {
		answer["reference_token"] = c.s.IssueToken(Token{User: want.Username, Reference: true, Lifetime: life})
	}
	c.json(http.StatusOK, "application/json", answer)
}

type tokenRequest struct {
	Username  string `json:"username"`
	ExpiresIn int64  `json:"expires_in"`
	Reference bool   `json:"include_reference_token"`
}

func (c *call) tokenRequest() (tokenRequest, error) {
	var want tokenRequest
	raw, err := c.readAll(64 << 10)
	if err != nil || len(raw) == 0 || !strings.Contains(c.r.Header.Get("Content-Type"), "json") {
		return want, err
	}
	return want, json.Unmarshal(raw, &want)
}
