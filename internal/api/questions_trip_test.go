package api_test

import (
	"net/http/httptest"
	"testing"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/api"
)

// TestClientAsksQuestions walks the calls of searches, exceptions and advice both ways.
func TestClientAsksQuestions(t *testing.T) {
	h := api.New(newLedger().options(t))
	srv := httptest.NewServer(h)
	defer srv.Close()
	remote, err := client.New(srv.URL, "admin-token", nil)
	if err != nil {
		t.Fatal(err)
	}
	for way, c := range map[string]*client.Client{"http": remote, "local": client.Local(api.AsLocal(h, "local"))} {
		ctx := t.Context()
		must := func(what string, err error) {
			t.Helper()
			if err != nil {
				t.Errorf("%s over %s: %v", what, way, err)
			}
		}
		some, err := c.WhoHas(ctx, client.WhoHas{Query: "lodash", Ecosystem: "npm"}, 2)
		must("who has", err)
		head, rows, err := c.EachHolder(ctx, client.WhoHas{Query: "lodash"})
		must("each holder", err)
		n := 0
		for _, err := range rows {
			must("row", err)
			n++
		}
		if len(some.Holders) != 2 || some.Tags != 3 || n != 4 || head.Tags != 4 || head.Packages != 4 {
			t.Errorf("%s: %d of %d rows, %d of %d streamed", way, len(some.Holders), some.Tags, n, head.Tags)
		}
		if _, _, err := c.EachHolder(ctx, client.WhoHas{Query: "<"}); err == nil {
			t.Errorf("%s: a question that is none", way)
		}
		x, err := c.Explain(ctx, ref, "", "CVE-2026-1")
		must("explain", err)
		told, err := c.Assess(ctx, client.SBOM{Reference: "x"})
		must("assess", err)
		_, err = c.Recommendations(ctx, ref, "")
		must("recommendations", err)
		advice, err := c.RecommendationsFor(ctx, digest("0"))
		must("recommendations for", err)
		if !x.Affected || told.Report.Reference != "x" || advice.Refresh == nil {
			t.Errorf("%s: %+v %+v %+v", way, x, told, advice)
		}
		res, err := c.AddExceptions(ctx, client.ExceptionChange{Exceptions: []client.Exception{{CVE: "CVE-9", All: true, Status: "fixed"}}})
		must("add", err)
		list, err := c.Exceptions(ctx)
		must("list", err)
		must("remove", c.RemoveException(ctx, res.Saved[0].ID))
		if len(list) != 1 || list[0].CVE != "CVE-9" {
			t.Errorf("%s: %+v", way, list)
		}
	}
}
