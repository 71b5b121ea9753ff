package e2e

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/dashboard/dashboardtest"
	"github.com/tallyman-dev/tallyman/internal/demo"
)

// TestFirstDayInABrowser goes the way of somebody who has just installed the program:
// from the link that it prints to a report, and out again. Everything is real but the
// registry.
func TestFirstDayInABrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("long: starts the program and a browser")
	}
	ctx := dashboardtest.Chromium(t)
	heard := dashboardtest.Listen(ctx)
	p := program{path: built(t), data: t.TempDir()}
	server := fleetOfDemo(t, p)
	serving := p.serve(t)
	serving.ready(t)
	day := firstDay{t: t, ctx: ctx, axe: dashboardtest.Axe(t), root: regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(serving.log.String())}

	day.setUp(serving.setupLink(t))
	day.connect(server)
	day.watch()
	day.report()
	day.compare()
	day.pagesAreSmall()
	day.leave()
	if list := heard.Take(); len(list) > 0 {
		t.Errorf("the browser complains: %q", list)
	}
	serving.stop(t)
	if strings.Contains(serving.log.String(), readerPassword) {
		t.Error("the log holds the password")
	}
}

// setupLink waits until the server has printed where the first administrator is made.
func (s *serving) setupLink(t *testing.T) string {
	t.Helper()
	for range 100 {
		if link := regexp.MustCompile(`http://\S+/setup/\S+`).FindString(s.log.String()); link != "" {
			return link
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("no link is printed\n%s", s.log)
	return ""
}

// fleetOfDemo is a registry with the images of the demo, a key that the reader may not
// read, and advisories that speak of the images.
func fleetOfDemo(t *testing.T, p program) *artifactorytest.Server {
	t.Helper()
	server, target := simulator(t, demo.Keys()...)
	if err := server.AddRepo(artifactorytest.Repo{Key: "docker-locked-local", Type: "docker"}); err != nil {
		t.Fatal(err)
	}
	fleet, err := demo.New(demo.Options{Executable: p.path})
	if err != nil {
		t.Fatal(err)
	}
	if err := fleet.Push(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	feed := filepath.Join(t.TempDir(), "advisories")
	if err := demo.WriteAdvisories(feed); err != nil {
		t.Fatal(err)
	}
	p.do(t.Context(), t, "", "advisories", "import", feed)
	return server
}

// firstDay is one browser on its way.
type firstDay struct {
	t    *testing.T
	ctx  context.Context //nolint:containedctx // it is the browser
	axe  string
	root string
}

func (d firstDay) do(what string, steps ...dashboardtest.Step) {
	d.t.Helper()
	dashboardtest.Do(d.t, d.ctx, what, steps...)
}

func (d firstDay) says(selector, want string, not ...string) {
	d.t.Helper()
	dashboardtest.Says(d.t, d.ctx, selector, want, not...)
}

func (d firstDay) accessible(name string) {
	d.t.Helper()
	dashboardtest.Accessible(d.t, d.ctx, name, d.axe)
}

func (d firstDay) setUp(link string) {
	d.t.Helper()
	d.do("set up", chromedp.Navigate(link), dashboardtest.See("#p"))
	d.accessible("set up")
	d.do("the administrator", dashboardtest.Enter("#p", "four words in a row"), dashboardtest.Click(".primary"), dashboardtest.See("header.top"))
	d.says("h1", "Nothing connected yet")
	d.accessible("nothing connected")
}

// connect types a wrong password, then a key that cannot be read, and mends both.
func (d firstDay) connect(server *artifactorytest.Server) {
	d.t.Helper()
	keys := []string{"docker-locked-local"}
	for _, k := range demo.Keys() {
		keys = append(keys, k.Name)
	}
	d.do("the form", dashboardtest.Click(`a[href$="/connect"]`), dashboardtest.See("#nm"),
		dashboardtest.Enter("#nm", "main"), dashboardtest.Enter("#ur", server.URL()), dashboardtest.Enter("#us", reader), dashboardtest.Enter("#pw", "wrong"),
		dashboardtest.Enter("#rk", strings.Join(keys, "\n")), dashboardtest.Click(`button[value="test"]`), dashboardtest.See("#result"))
	d.says("#result", "authentication failed: invalid credentials or insufficient permissions")
	d.do("the right password", dashboardtest.Enter("#pw", readerPassword), dashboardtest.Click(`button[value="test"]`), dashboardtest.See("#h-t"))
	d.says("#result", "repository access failed for: docker-locked-local")
	d.says("#rk-e", "docker-locked-local")
	d.accessible("a key that cannot be read")
	d.do("mend the keys", chromedp.SetValue(chromedp.CSS("#rk"), strings.Join(keys[1:], "\n")), dashboardtest.Click(`button[value="test"]`), dashboardtest.See("#result.is-ok"))
	d.do("save", dashboardtest.Click(`button[value="save"]`), dashboardtest.See("#progress"))
}

// watch waits for the page to say by itself that the discovery is through.
func (d firstDay) watch() {
	d.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(300 * time.Millisecond) {
		text, err := dashboardtest.Text(d.ctx, "#progress")
		if err == nil && strings.Contains(text, "Finished") {
			break
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("the discovery does not end: %q, %v", text, err)
		}
	}
	d.says("#found", "69 analysed")
	d.accessible("progress")
}

func (d firstDay) report() {
	d.t.Helper()
	d.do("search", chromedp.KeyEvent("/"), chromedp.KeyEvent("catalog-api\r"), dashboardtest.See("#images"))
	d.says("#images", "shop/catalog-api")
	d.do("the report", dashboardtest.Click("#images tbody a.m"), dashboardtest.See(".three"))
	d.accessible("report")
	d.do("high only", dashboardtest.Click("a.sev.big.h"), dashboardtest.See("a.sev.big.h[aria-current]"))
	d.do("fixable only", dashboardtest.Click(`input[name="fixable"]`), dashboardtest.Click(".filters button"), dashboardtest.See(`input[name="fixable"][checked]`))
	d.says("section[aria-labelledby=h-v]", "CVE-2023-4863", "CVE-2023-45853")
	d.do("one layer", dashboardtest.Click(`a[data-layer="1"]`), dashboardtest.See(`a[data-layer="1"][aria-current]`))
	d.says("section[aria-labelledby=h-v]", "CVE-2023-4863", "CVE-2023-4911")
	d.export()
}

// export takes away what the page shows, and nothing else.
func (d firstDay) export() {
	d.t.Helper()
	for _, format := range []string{"csv", "json", "sarif"} {
		text, err := chromedp.Run(d.ctx, chromedp.Evaluate[string](fmt.Sprintf(
			`fetch(document.querySelector('details.menu a[href*="/image?"][href*="format=%s"]').href).then((r) => r.text())`, format), chromedp.EvalAwaitPromise))
		if err != nil || !strings.Contains(text, "CVE-2023-4863") || strings.Contains(text, "CVE-2023-4911") || strings.Contains(text, "CVE-2023-45853") {
			d.t.Errorf("the export as %s is not what is shown: %v, %.600s", format, err, text)
		}
	}
}

func (d firstDay) compare() {
	d.t.Helper()
	page := d.root + "/repository?" + url.Values{"repository": {"docker-prod-local"}, "image": {"shop/storefront"}}.Encode()
	d.do("a repository", chromedp.Navigate(page), dashboardtest.See("#repository"))
	d.accessible("repository")
	d.do("two tags", dashboardtest.Click("#repository tbody tr:first-child input"), dashboardtest.Click("#repository tbody tr:last-child input"),
		dashboardtest.Click("#repository form button"), dashboardtest.See("#h-From"))
	d.says("h1", "Compare")
	d.says(".head", "fixed")
	d.accessible("compare")
}

// pagesAreSmall follows the links of the pages: each answers, in less than 100 KB.
func (d firstDay) pagesAreSmall() {
	d.t.Helper()
	const crawl = `(async () => {
		const kind = (u) => u.pathname + " " + [...u.searchParams.keys()].sort().join(",");
		const seen = new Set(), perKind = new Map(), todo = [new URL("/", location)];
		let pages = 0, most = 0;
		const bad = [];
		while (todo.length > 0 && pages < 220) {
			const at = todo.shift();
			const answer = await fetch(at);
			const text = await answer.text();
			pages++;
			most = Math.max(most, new Blob([text]).size);
			if (answer.status !== 200 || new Blob([text]).size >= 100000) bad.push(answer.status + " " + new Blob([text]).size + " " + at);
			const page = new DOMParser().parseFromString(text, "text/html");
			for (const link of page.querySelectorAll("a[href]")) {
				const to = new URL(link.getAttribute("href"), location);
				to.hash = "";
				if (to.origin !== location.origin || seen.has(to.href) || /^\/(api|static)\//.test(to.pathname) || to.searchParams.has("format") || to.searchParams.has("download")) continue;
				seen.add(to.href);
				const n = (perKind.get(kind(to)) ?? 0) + 1;
				perKind.set(kind(to), n);
				if (n <= 3) todo.push(to);
			}
		}
		return pages + " pages, the largest " + most + " bytes" + (bad.length ? "\nBAD " + bad.join("\nBAD ") : "");
	})()`
	ctx, cancel := context.WithTimeout(d.ctx, 2*time.Minute)
	defer cancel()
	said, err := chromedp.Run(ctx, chromedp.Evaluate[string](crawl, chromedp.EvalAwaitPromise))
	if err != nil || strings.Contains(said, "BAD") {
		d.t.Errorf("pages: %v, %s", err, said)
	}
	d.t.Log(said)
}

func (d firstDay) leave() {
	d.t.Helper()
	d.do("disconnect", chromedp.Navigate(d.root+"/integrations/main/disconnect"), dashboardtest.See("form.narrow"))
	d.accessible("disconnect")
	d.do("confirm", dashboardtest.Click("form.narrow .primary"), dashboardtest.See(".note.is-ok"))
	d.says(".note.is-ok", "Its credentials are erased, its data is kept")
	d.says("#cards", "Disconnected")
	d.do("sign out", dashboardtest.Click(".who button"), dashboardtest.See(".lone"))
}
