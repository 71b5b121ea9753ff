package dashboardtest

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Axe is the accessibility checker: the text of axe-core's axe.min.js, which the tests
// do not carry with them. TALLYMAN_AXE names the file; without it pages are not
// checked, but on CI it must be there.
func Axe(t *testing.T) string {
	t.Helper()
	path := os.Getenv("TALLYMAN_AXE") //nolint:forbidigo // a setting of tests, not of the program
	if path == "" {
		const missing = "no axe-core: npm install --prefix DIR axe-core, and set TALLYMAN_AXE to DIR/node_modules/axe-core/axe.min.js"
		if slices.Contains(os.Environ(), "CI=true") {
			t.Fatal(missing)
		}
		t.Log(missing)
		return ""
	}
	text, err := os.ReadFile(path) //nolint:gosec // whoever runs the test names it
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// serious asks axe-core for what is wrong with the page that is open: what it calls
// serious or critical, each with where.
const serious = `axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations
	.filter((v) => v.impact === "serious" || v.impact === "critical")
	.map((v) => v.id + " (" + v.nodes.length + "): " + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + " " + (n.any[0]?.message ?? "")).join(" | "))
	.join("\n"))`

// Accessible fails the test when axe-core finds something serious.
func Accessible(t *testing.T, ctx context.Context, name, axe string) { //nolint:revive // t comes first in a test's helper
	t.Helper()
	if axe == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](axe+"; undefined")); err != nil {
		t.Fatalf("%s: load axe-core: %v", name, err)
	}
	found, err := chromedp.Run(ctx, chromedp.Evaluate[string](serious, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: run axe-core: %v", name, err)
	}
	if found != "" {
		t.Errorf("%s: axe-core finds: %s", name, found)
	}
}

// SticksOut is a script that names the first thing that is wider than the panel it stands in, unless the
// panel scrolls.
const SticksOut = `(() => {
	for (const panel of document.querySelectorAll("main section, main .panel, main .card")) {
		const right = panel.getBoundingClientRect().right + 1;
		for (const e of panel.querySelectorAll("td, th, a, span, dd, p")) {
			if (e.closest(".scroll") || e.closest(".vh") || e.closest("details:not([open])")) continue;
			if (e.getBoundingClientRect().right > right) return e.tagName + " " + e.textContent.slice(0, 60);
		}
	}
	for (const box of document.querySelectorAll(".three .scroll")) {
		if (innerWidth >= 1280 && box.scrollWidth > box.clientWidth + 1) return "the findings";
	}
	return "";
})()`
