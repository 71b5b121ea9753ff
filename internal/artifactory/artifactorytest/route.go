package artifactorytest

import (
	"net/http"
	"strings"
)

// route decides what a request asks for, sets its class, and returns who answers.
func (c *call) route() func() {
	path := c.r.URL.Path
	if path == "/v2" || strings.HasPrefix(path, "/v2/") {
		return c.routeDockerRoot(strings.TrimPrefix(strings.TrimPrefix(path, "/v2"), "/"))
	}
	if c.port != "" {
		return c.notServed
	}
	if h := c.routePlatform(path); h != nil {
		return h
	}
	rest, ok := strings.CutPrefix(path, c.sw.Context+"/")
	if !ok {
		return c.notServed
	}
	if api, ok := strings.CutPrefix(rest, "api/"); ok {
		return c.routeAPI(api)
	}
	if rest == "" || rest == "ui" || strings.HasPrefix(rest, "ui/") || strings.HasPrefix(rest, "webapp") {
		return c.loginPage
	}
	c.class = ClassStorage
	return func() { c.artifact(rest) }
}

func (c *call) routePlatform(path string) func() {
	switch {
	case path == "/" || path == "/ui" || strings.HasPrefix(path, "/ui/"):
		return c.loginPage
	case path == "/router/api/v1/system/health" && c.sw.Router:
		c.class = ClassPing
		return c.routerHealth
	case path == "/access/api/v1/tokens" && c.sw.Router:
		c.class = ClassToken
		return c.createToken
	case strings.HasPrefix(path, "/event/") && c.sw.Webhooks:
		c.class = ClassSubscriptions
		return func() { c.subscriptions(strings.TrimPrefix(path, "/event/api/v1/")) }
	}
	return nil
}

// routeAPI routes what follows api/.
func (c *call) routeAPI(path string) func() {
	head, rest, _ := strings.Cut(path, "/")
	switch head {
	case "docker", "oci":
		return c.routeDockerDirect(head, rest)
	case "repositories":
		c.class = ClassRepositories
		return func() { c.repositories(rest) }
	case "v2":
		if key, ok := strings.CutPrefix(rest, "repositories/"); ok {
			c.class = ClassRepositories
			return func() { c.repositoryV2(key) }
		}
	case "storage":
		c.class = ClassStorage
		return func() { c.storage(rest) }
	case "storageinfo":
		c.class = ClassStorage
		return c.storageInfo
	case "copy", "move":
		c.class = ClassStorage
		return func() { c.copyOrMove(head == "move", rest) }
	}
	return c.routeSystem(path)
}

func (c *call) routeSystem(path string) func() {
	switch path {
	case "system/ping":
		c.class = ClassPing
		return c.ping
	case "v1/system/readiness", "v1/system/liveness":
		if c.sw.Router {
			c.class = ClassPing
			return c.readiness
		}
	case "system/version":
		c.class = ClassVersion
		return c.version
	case "search/aql":
		c.class = ClassAQL
		return c.aql
	case "search/dates":
		c.class = ClassOther
		return c.searchDates
	case "security/token":
		c.class = ClassToken
		return c.createToken
	}
	return c.notFound
}

// notServed answers what the router has no route for.
func (c *call) notServed() {
	if c.sw.CatchAllUI {
		c.loginPage()
		return
	}
	c.text(http.StatusNotFound, "404 page not found\n")
}

func (c *call) notFound() { c.status(http.StatusNotFound, "Not Found") }

const loginHTML = `<!doctype html><html lang="en"><head><title>JFrog</title></head>` +
	`<body><div id="app">Please sign in</div></body></html>`

func (c *call) loginPage() { c.html(http.StatusOK, loginHTML) }
