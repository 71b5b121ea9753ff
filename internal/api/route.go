package api

import (
	"net/http"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// route is one line of the table that the server, the OpenAPI document and the tests
// of authorisation are made from.
type route struct {
	method  string
	path    string // pattern of net/http
	need    Permission
	summary string
	query   []parameter
	body    any    // zero value of what is sent; nil = nothing
	upload  string // content type of a body that is not JSON
	status  int    // on success
	reply   any    // zero value of what is answered; nil = nothing
	others  []string
	lines   bool // the answer is a value a line, not an array
	serve   func(*API, http.ResponseWriter, *http.Request) error
}

type parameter struct {
	name     string
	kind     string // string, boolean, integer
	required bool
	summary  string
}

func refParameters() []parameter {
	return []parameter{
		{"ref", "string", true, "the reference: what docker pull takes, or as the list of images prints it"},
		{"platform", "string", false, "of a multi-platform image: linux/arm64"},
	}
}

func imageParameters() []parameter {
	return []parameter{
		{"integration", "string", false, "name of an integration"},
		{"repository", "string", false, "repository key"},
		{"image", "string", false, "exact image name; needs repository"},
		{"name", "string", false, "part of a repository or tag name"},
		{"state", "string", false, "waiting, analysed, failed or unsupported"},
		{"severity", "string", false, "only images with a finding of this severity"},
		{"fixable", "boolean", false, "only images with a finding that has a fix"},
		{"gone", "boolean", false, "gone tags too"},
		{"newest", "boolean", false, "only the newest tag of each repository"},
		{"as_of", "string", false, "the tags as they were then, by name: 2026-03-01, or with the time; states and findings are by what is known today"},
		{"sort", "string", false, "name (default), pushed or severity"},
		{"after", "string", false, "cursor: next of the page before"},
		{"limit", "integer", false, "rows of a page, at most 1000 (default 100)"},
		{"format", "string", false, "json (default, a page) or jsonl (every row, streamed)"},
	}
}

// routes is the whole of /api/v1.
func routes() []route {
	all := [][]route{integrationRoutes(), imageRoutes(), searchRoutes(), watchRoutes(), explainRoutes(), exceptionRoutes(), assessRoutes(), adviceRoutes(), machineRoutes(), channelRoutes(), accountRoutes(), ingestRoutes()}
	var out []route
	for _, some := range all {
		out = append(out, some...)
	}
	return out
}

func integrationRoutes() []route {
	const one = "/api/v1/integrations/{name}"
	return []route{
		{
			method: "GET", path: "/api/v1/integrations", need: Read, summary: "Every integration with its state",
			status: 200, reply: []inventory.Integration{}, serve: (*API).listIntegrations,
		},
		{
			method: "POST", path: "/api/v1/integrations", need: Edit, summary: "Connect a registry",
			body: inventory.IntegrationChange{}, status: 201, reply: inventory.Integration{}, serve: (*API).addIntegration,
		},
		{
			method: "GET", path: one, need: Read, summary: "One integration",
			status: 200, reply: inventory.Integration{}, serve: (*API).getIntegration,
		},
		{
			method: "PUT", path: one, need: Edit, summary: "Change an integration; a blank secret keeps the saved one",
			body: inventory.IntegrationChange{}, status: 200, reply: inventory.Integration{}, serve: (*API).updateIntegration,
		},
		{
			method: "DELETE", path: one, need: Admin, summary: "Delete an integration and the data that no other holds",
			status: 204, serve: (*API).deleteIntegration,
		},
		{
			method: "POST", path: one + "/test", need: Edit, summary: "Test the connection of a saved integration",
			status: 200, reply: inventory.TestResult{}, serve: (*API).testSaved,
		},
		{
			method: "POST", path: one + "/pause", need: Edit, summary: "Stop looking until it resumes",
			status: 200, reply: inventory.Integration{}, serve: (*API).pauseIntegration,
		},
		{
			method: "POST", path: one + "/resume", need: Edit, summary: "Look again",
			status: 200, reply: inventory.Integration{}, serve: (*API).resumeIntegration,
		},
		{
			method: "POST", path: one + "/disconnect", need: Edit, summary: "Erase the credentials, keep the data",
			status: 200, reply: inventory.Integration{}, serve: (*API).disconnectIntegration,
		},
		{
			method: "POST", path: "/api/v1/test-connection", need: Edit, summary: "Test a connection that is not saved",
			body: inventory.ConnectionTest{}, status: 200, reply: inventory.TestResult{}, serve: (*API).testConnection,
		},
	}
}

func imageRoutes() []route {
	return []route{
		{
			method: "GET", path: "/api/v1/images", need: Read, summary: "Tags with what is known of their images, by page",
			query: imageParameters(), status: 200, reply: inventory.TagPage{}, others: []string{"application/jsonl"}, serve: (*API).listImages,
		},
		{
			method: "GET", path: "/api/v1/images/{digest}", need: Read, summary: "One image or index by its digest",
			status: 200, reply: inventory.Image{}, serve: (*API).getImage,
		},
		{
			method: "GET", path: "/api/v1/tag", need: Read, summary: "The tag that a reference names",
			query: refParameters()[:1], status: 200, reply: inventory.TagRow{}, serve: (*API).getTag,
		},
		{
			method: "GET", path: "/api/v1/history", need: Read, summary: "Where a tag pointed, and when",
			query: refParameters()[:1], status: 200, reply: []inventory.TagMove{}, serve: (*API).getHistory,
		},
		{
			method: "GET", path: "/api/v1/sbom", need: Read, summary: "The bill of materials of an image",
			query:  append(refParameters(), parameter{"format", "string", false, "json (default), or a format that GET /api/v1/version lists"}),
			status: 200, reply: inventory.SBOM{}, serve: (*API).getSBOM,
		},
		{
			method: "GET", path: "/api/v1/cves", need: Read, summary: "The findings of an image",
			query: refParameters(), status: 200, reply: inventory.Report{}, serve: (*API).getReport,
		},
		{
			method: "GET", path: "/api/v1/payload", need: Read, summary: "What a far watcher sends of an image, by the example of this one",
			query: refParameters(), status: 200, reply: inventory.Payload{}, serve: (*API).getPayload,
		},
		{
			method: "GET", path: "/api/v1/status", need: Read, summary: "The coverage ledger",
			status: 200, reply: inventory.Status{}, serve: (*API).getStatus,
		},
		{
			method: "GET", path: "/api/v1/trend", need: Read, summary: "What the fleet had over time, the oldest first; the last point is now",
			query:  []parameter{{"since", "string", false, "RFC 3339; default 90 days ago"}},
			status: 200, reply: []inventory.TrendPoint{}, serve: (*API).getTrend,
		},
	}
}

func machineRoutes() []route {
	return []route{
		{
			method: "GET", path: "/api/v1/advisories", need: Read, summary: "What is known of advisories",
			status: 200, reply: inventory.AdvisoryStatus{}, serve: (*API).getAdvisories,
		},
		{
			method: "POST", path: "/api/v1/advisories/sync", need: Edit, summary: "Bring every feed up to date soon; the feeds tell how it went",
			status: 202, serve: (*API).syncAdvisories,
		},
		{
			method: "POST", path: "/api/v1/advisories/import", need: Admin, upload: "application/octet-stream",
			summary: "Import advisories: OSV zip or JSON, KEV JSON, EPSS CSV, recognised by content",
			status:  200, reply: inventory.AdvisoryStatus{}, serve: (*API).importAdvisories,
		},
		{
			method: "GET", path: "/api/v1/tokens", need: Admin, summary: "Tokens of machines, without their secrets",
			status: 200, reply: []inventory.Token{}, serve: (*API).listTokens,
		},
		{
			method: "POST", path: "/api/v1/tokens", need: Admin, summary: "Create a token; its secret is shown this once",
			body: inventory.NewToken{}, status: 201, reply: inventory.TokenSecret{}, serve: (*API).createToken,
		},
		{
			method: "DELETE", path: "/api/v1/tokens/{name}", need: Admin, summary: "Revoke a token",
			status: 204, serve: (*API).revokeToken,
		},
		{
			method: "POST", path: "/api/v1/tokens/{name}/requeue", need: Admin, summary: "Index again what only this token, revoked or not, vouched for",
			status: 200, reply: inventory.Requeued{}, serve: (*API).requeueToken,
		},
		{
			method: "POST", path: "/api/v1/signin-links", need: Admin, summary: "Create a one-time link into the dashboard: for a user, or for whoever sets Tallyman up",
			body: inventory.NewSigninLink{}, status: 201, reply: inventory.SigninLink{}, serve: (*API).createSigninLink,
		},
		{
			method: "GET", path: "/api/v1/me", need: SignedIn, summary: "Who calls",
			status: 200, reply: inventory.Caller{}, serve: (*API).getCaller,
		},
		{
			method: "GET", path: "/api/v1/version", need: SignedIn, summary: "What runs here",
			status: 200, reply: inventory.Version{}, serve: (*API).getVersion,
		},
		{
			method: "GET", path: "/api/v1/openapi.json", need: SignedIn, summary: "This document",
			status: 200, reply: map[string]any{}, serve: (*API).getOpenAPI,
		},
	}
}
