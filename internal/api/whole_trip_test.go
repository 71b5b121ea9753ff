package api_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/api"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// TestClientOverHTTPAndInProcess walks every call of the client both ways, against the
// real handler.
func TestClientOverHTTPAndInProcess(t *testing.T) {
	for _, way := range []string{"http", "local"} {
		t.Run(way, func(t *testing.T) {
			o := newLedger().options(t)
			o.SBOM = map[string]api.SBOMWriter{"cyclonedx": {ContentType: "application/vnd.cyclonedx+json", Extension: "cdx.json", Write: func(w io.Writer, s inventory.SBOM) error {
				_, err := io.WriteString(w, "bom of "+s.Reference)
				return err
			}}}
			h := api.New(o)
			c := client.Local(api.AsLocal(h, "local"))
			if way == "http" {
				srv := httptest.NewServer(h)
				defer srv.Close()
				var err error
				if c, err = client.New(srv.URL, "admin-token", nil); err != nil {
					t.Fatal(err)
				}
			}
			walk(t, c)
		})
	}
	bare := api.New(newLedger().options(t))
	if _, err := client.Local(bare).Status(t.Context()); !errors.Is(err, client.ErrUnauthorized) {
		t.Errorf("the handler lets in who is not marked as local: %v", err)
	}
	var _ http.Handler = bare
}

func walk(t *testing.T, c *client.Client) {
	t.Helper()
	ctx := t.Context()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	in, err := c.AddIntegration(ctx, client.IntegrationChange{Integration: client.Integration{Name: "second", URL: "https://second.example/", Repositories: []string{" a ", ""}}, Secret: "s"})
	must("add", err)
	want := client.Integration{
		Name: "second", Kind: "artifactory", URL: "https://second.example", Registry: "second.example", HasSecret: true, State: "connected",
		Repositories: []string{"a"}, Include: []string{}, Exclude: []string{}, Tags: []string{}, AuthHosts: []string{}, Keys: []inventory.RepositoryKey{},
	}
	if diff := cmp.Diff(want, in); diff != "" {
		t.Errorf("added (-want +got):\n%s", diff)
	}
	in.Exclude = []string{"*/scratch"}
	changed, err := c.UpdateIntegration(ctx, "second", client.IntegrationChange{Integration: in})
	must("update", err)
	if len(changed.Exclude) != 1 {
		t.Errorf("changed %+v", changed)
	}
	if _, err := c.UpdateIntegration(ctx, "second", client.IntegrationChange{Integration: client.Integration{URL: "https://evil.example"}}); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("a new host keeps the old secret: %v", err)
	}
	result, err := c.TestConnection(ctx, client.ConnectionTest{IntegrationChange: client.IntegrationChange{Integration: client.Integration{URL: "https://third.example"}, Secret: "s"}})
	must("test", err)
	if !result.OK || result.Repositories == nil {
		t.Errorf("result %+v", result)
	}
	_, err = c.TestIntegration(ctx, "second")
	must("test saved", err)
	paused, err := c.PauseIntegration(ctx, "second")
	must("pause", err)
	resumed, err := c.ResumeIntegration(ctx, "second")
	must("resume", err)
	off, err := c.DisconnectIntegration(ctx, "second")
	must("disconnect", err)
	if paused.State+resumed.State+off.State != "pausedconnecteddisconnected" {
		t.Errorf("states %s %s %s", paused.State, resumed.State, off.State)
	}
	if _, err := c.ResumeIntegration(ctx, "second"); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("a disconnected integration resumes: %v", err)
	}
	must("delete", c.DeleteIntegration(ctx, "second"))
	list, err := c.Integrations(ctx)
	must("list", err)
	_, err = c.Integration(ctx, "second")
	if len(list) != 1 || !errors.Is(err, client.ErrNotFound) {
		t.Errorf("after delete: %d, %v", len(list), err)
	}
	images := 0
	for _, err := range c.Images(ctx, client.TagFilter{Sort: "name"}) {
		must("images", err)
		images++
	}
	row, err := c.Tag(ctx, ref)
	must("tag", err)
	img, err := c.Image(ctx, row.Digest)
	must("image", err)
	moves, err := c.History(ctx, ref)
	must("history", err)
	bom, err := c.SBOM(ctx, ref, "")
	must("sbom", err)
	rep, err := c.CVEs(ctx, ref, "linux/amd64")
	must("cves", err)
	if images != 4 || img.Digest != bom.Digest || len(moves) != 1 || len(rep.Findings) != 1 {
		t.Errorf("%d images, %s, %s, %d moves, %d findings", images, img.Digest, bom.Digest, len(moves), len(rep.Findings))
	}
	var out bytes.Buffer
	must("write sbom", c.WriteSBOM(ctx, &out, ref, "", "cyclonedx"))
	if out.String() != "bom of "+ref {
		t.Errorf("written %q", out.String())
	}
	_, err = c.Status(ctx)
	must("status", err)
	_, err = c.Advisories(ctx)
	must("advisories", err)
	_, err = c.ImportAdvisories(ctx, strings.NewReader("[]"))
	must("import", err)
	_, err = c.CreateToken(ctx, client.NewToken{Name: "ci", Scope: "read"})
	must("token", err)
	_, err = c.Tokens(ctx)
	must("tokens", err)
	must("revoke", c.RevokeToken(ctx, "ci"))
	link, err := c.CreateSigninLink(ctx, "m.okafor")
	must("link", err)
	_, err = c.AddUser(ctx, client.NewAccount{Name: "eve", Role: "viewer", Password: "four plain words"})
	must("add user", err)
	eve, err := c.ChangeUser(ctx, "eve", client.AccountChange{Role: "editor"})
	must("change user", err)
	users, err := c.Users(ctx)
	must("users", err)
	sessions, err := c.Sessions(ctx, "eve")
	must("sessions", err)
	ended, err := c.EndSessions(ctx, "eve", "")
	must("end sessions", err)
	must("remove user", c.RemoveUser(ctx, "eve"))
	log, err := c.Audit(ctx, client.AuditFilter{Limit: 10})
	must("audit", err)
	if eve.Role != "editor" || len(users) != 1 || len(sessions) != 2 || ended != 2 || len(log.Entries) == 0 {
		t.Errorf("%+v %+v %+v %d %+v", eve, users, sessions, ended, log)
	}
	who, err := c.Caller(ctx)
	must("caller", err)
	v, err := c.Version(ctx)
	must("version", err)
	if link.Path != "/signin/one-time" || who.Reach != "admin" || v.Version != "1.2.3" || strings.Join(v.SBOMFormats, " ") != "json cyclonedx" {
		t.Errorf("%+v %+v %+v", link, who, v)
	}
}
