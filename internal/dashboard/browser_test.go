package dashboard_test

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

var shots = flag.String("shots", "", "write a screenshot of every page into this directory") //nolint:gochecknoglobals // a flag of the test

// chromium starts a browser with a profile of its own, or skips the test and says what
// to install. On CI it must be there.
func chromium(t *testing.T) context.Context {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		const missing = "no Chromium: install Debian's package chromium to run the browser tests"
		if slices.Contains(os.Environ(), "CI=true") {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
	)
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	// The browser lives as long as the context of its first step: that one gets no limit.
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	return ctx
}

// complaints collects what the browser's console says against the pages.
type complaints struct {
	mu   sync.Mutex
	list []string
}

func (c *complaints) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list
}

func listen(ctx context.Context) *complaints {
	c := &complaints{}
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == "error" || m.Type == "warning" {
				c.mu.Lock()
				c.list = append(c.list, m.String())
				c.mu.Unlock()
			}
		}
	}()
	return c
}

type step = chromedp.Action[chromedp.Void]

func click(sel string) step { return chromedp.Click(chromedp.CSS(sel)) }

func see(sel string) step { return chromedp.WaitVisible(chromedp.CSS(sel)) }

func enter(sel, s string) step { return chromedp.SendKeys(chromedp.CSS(sel), s) }

// do takes steps one after the other, each within a time that a person would wait.
func do(t *testing.T, ctx context.Context, what string, steps ...step) { //nolint:revive // t comes first in a test's helper
	t.Helper()
	for i, one := range steps {
		ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
		err := chromedp.Do(ctx, one)
		cancel()
		if err != nil {
			t.Fatalf("%s, step %d: %v", what, i+1, err)
		}
	}
}

// says waits until what selector shows contains want and nothing of not: a click
// returns before the page it leads to is there, and the old one may look much the same.
func says(t *testing.T, ctx context.Context, selector, want string, not ...string) { //nolint:revive // t comes first in a test's helper
	t.Helper()
	var got string
	var err error
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		got, err = chromedp.Run(ctx, chromedp.Text(chromedp.CSS(selector)))
		holds := func(s string) bool { return strings.Contains(got, s) }
		if err == nil && holds(want) && !slices.ContainsFunc(not, holds) {
			return
		}
	}
	t.Fatalf("%s says %q (error %v), not %q without %q", selector, got, err, want, not)
}

// TestBrowser goes the way of somebody who connects a registry and looks at an image.
func TestBrowser(t *testing.T) {
	ctx := chromium(t)
	heard := listen(ctx)
	f := sample()
	f.test = func(in inventory.Integration, s inventory.Secrets) (inventory.TestResult, error) {
		if s.Password != "right" {
			return inventory.TestResult{Error: "authentication failed: invalid credentials or insufficient permissions", Remedy: "Type the token again."}, nil
		}
		if slices.Contains(in.Repositories, "docker-legacy") {
			return inventory.TestResult{Error: "repository access failed for: docker-legacy", Repositories: []inventory.RepositoryKey{
				{Key: "docker-local", OK: true, Class: "local", PackageType: "docker"}, {Key: "docker-legacy", Error: "403 Forbidden", Remedy: "Give it Read."},
			}}, nil
		}
		return inventory.TestResult{OK: true, Repositories: []inventory.RepositoryKey{{Key: "docker-local", OK: true}}}, nil
	}
	srv := serve(t, f)

	do(t, ctx, "sign in", chromedp.Navigate(srv.URL+"/signin/setup-link"), see("#overview"))
	do(t, ctx, "open the form", chromedp.Navigate(srv.URL+"/connect"),
		enter("#nm", "second"), enter("#ur", "https://second.example"), enter("#pw", "wrong"),
		enter("#rk", "docker-local\ndocker-legacy"), click(`button[value="test"]`), see("#result"))
	says(t, ctx, "#result", "authentication failed: invalid credentials or insufficient permissions")
	do(t, ctx, "right token", enter("#pw", "right"), click(`button[value="test"]`), see("#h-t"))
	says(t, ctx, "#result", "repository access failed for: docker-legacy")
	do(t, ctx, "fix the keys", chromedp.SetValue(chromedp.CSS("#rk"), "docker-local"), click(`button[value="test"]`), see("#result.is-ok"))
	do(t, ctx, "save", click(`button[value="save"]`), see("#progress"))
	says(t, ctx, ".note.is-ok", "second is connected")
	says(t, ctx, "#progress", "Listing")
	f.mu.Lock()
	f.integrations[f.at("second")].LastPoll = ptr(now())
	f.mu.Unlock()
	says(t, ctx, "#progress", "Finished")

	do(t, ctx, "search", chromedp.KeyEvent("/"), chromedp.KeyEvent("checkout\r"), see("#images"))
	says(t, ctx, "#images", "payments/checkout-api")
	do(t, ctx, "open the report", click(`#images tbody a.m`), see(".three"))
	do(t, ctx, "critical only", click("a.sev.big.c"), see(`a.sev.big.c[aria-current]`))
	do(t, ctx, "fixable only", click(`input[name="fixable"]`), click(".filters button"), see(`input[name="fixable"][checked]`))
	says(t, ctx, "section[aria-labelledby=h-v]", "CVE-2025-24813", "CVE-2023-45853", "CVE-2025-48734")
	do(t, ctx, "one layer", click(`a[data-layer="4"]`), see(`a[data-layer="4"][aria-current]`))
	says(t, ctx, "section[aria-labelledby=h-v]", "CVE-2025-49794", "CVE-2025-24813")
	do(t, ctx, "a second layer", chromedp.Evaluate[chromedp.Void](`document.querySelector('a[data-layer="5"]').dispatchEvent(new MouseEvent("click", {shiftKey: true, bubbles: true, cancelable: true}))`),
		see(`a[data-layer="5"][aria-current]`))
	says(t, ctx, "section[aria-labelledby=h-v]", "CVE-2025-24813")

	do(t, ctx, "sign out", click(".who button"), see(".lone"))
	if list := heard.take(); len(list) > 0 {
		t.Errorf("the browser complains: %q", list)
	}
}

// TestBrowserSeesNewImages: an open page changes by itself.
func TestBrowserSeesNewImages(t *testing.T) {
	ctx := chromium(t)
	heard := listen(ctx)
	f := sample()
	srv := serve(t, f)
	do(t, ctx, "open the images", chromedp.Navigate(srv.URL+"/signin/setup-link"), chromedp.Navigate(srv.URL+"/images"), see("#images"))
	f.mu.Lock()
	row := f.tags[1]
	row.Image, row.Reference, row.Pushed = "brand/new", "acme.jfrog.io/docker-local/brand/new:1", ptr(now())
	f.tags = append(f.tags, row)
	f.mu.Unlock()
	do(t, ctx, "wait for the new image", see(`a[href*="brand%2Fnew"]`))
	if list := heard.take(); len(list) > 0 {
		t.Errorf("the browser complains: %q", list)
	}
}

// TestPagesInABrowser looks at every page in both themes, wide and narrow: the console
// is quiet and nothing sticks out to the side. With -shots it keeps pictures.
func TestPagesInABrowser(t *testing.T) {
	ctx := chromium(t)
	heard := listen(ctx)
	checker := axe(t)
	srv := serve(t, sample())
	empty := serve(t, newFleet())
	do(t, ctx, "sign in", chromedp.Navigate(empty.URL+"/signin/setup-link"), chromedp.Navigate(srv.URL+"/signin"))
	type look struct{ name, url string }
	looks := []look{
		{"signin", srv.URL + "/signin"},
		{"empty", empty.URL + "/"},
		{"overview", srv.URL + "/"},
		{"images", srv.URL + "/images"},
		{"image", srv.URL + imagePath("")},
		{"image-layers", srv.URL + imagePath("&layer=4,5&packages=all")},
		{"image-failed", srv.URL + "/image?ref=" + url.QueryEscape("acme.jfrog.io/docker-local/data/gpu-train:12.4")},
		{"repository", srv.URL + "/repository?repository=docker-prod-local&image=payments/checkout-api&gone=1"},
		{"compare", srv.URL + comparePath()},
		{"vulnerabilities", srv.URL + "/vulnerabilities"},
		{"vulnerability", srv.URL + "/vulnerability?id=CVE-2025-24813"},
		{"packages", srv.URL + "/packages"},
		{"bases", srv.URL + "/bases"},
		{"find", srv.URL + "/find?q=openssl+%3C3.0.12"},
		{"find-empty", srv.URL + "/find"},
		{"activity", srv.URL + "/activity"},
		{"integrations", srv.URL + "/integrations"},
		{"connect", srv.URL + "/connect"},
		{"integration", srv.URL + "/integrations/berlin-dc"},
		{"delete", srv.URL + "/integrations/acme-main/delete"},
		{"progress", srv.URL + "/integrations/berlin-dc/progress?done=added"},
		{"progress-done", srv.URL + "/integrations/acme-main/progress"},
		{"sent", srv.URL + "/integrations/acme-main/sent"},
		{"notifications", srv.URL + "/settings/notifications"},
		{"channel", srv.URL + "/settings/notifications/team?event=new"},
		{"channel-mail", srv.URL + "/settings/notifications/boss"},
		{"feeds", srv.URL + "/settings/advisories"},
		{"exceptions", srv.URL + "/exceptions"},
	}
	for _, width := range []int64{1280, 390} {
		for _, theme := range []string{"light", "dark"} {
			if *shots == "" && (width == 1280) != (theme == "light") {
				continue // without pictures each page once in each is enough
			}
			do(t, ctx, "set the size", chromedp.EmulateViewport(width, 900),
				colours(theme))
			for _, one := range looks {
				name := fmt.Sprintf("%s-%s-%d", one.name, theme, width)
				do(t, ctx, name, chromedp.Navigate(one.url), see("main"))
				over, err := chromedp.Run(ctx, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if over > 0 {
					t.Errorf("%s: the page is %d px wider than the window", name, over)
				}
				out, err := chromedp.Run(ctx, chromedp.Evaluate[string](sticksOut))
				if err != nil || out != "" {
					t.Errorf("%s: %q sticks out of its panel, %v", name, out, err)
				}
				accessible(t, ctx, name, checker)
				if *shots != "" {
					keep(t, ctx, name)
				}
			}
		}
	}
	if list := heard.take(); len(list) > 0 {
		t.Errorf("the browser complains: %q", list)
	}
}

// sticksOut names the first thing that is wider than the panel it stands in, unless the
// panel scrolls.
const sticksOut = `(() => {
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

func keep(t *testing.T, ctx context.Context, name string) { //nolint:revive // t comes first in a test's helper
	t.Helper()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatalf("picture of %s: %v", name, err)
	}
	if err := os.WriteFile(filepath.Join(*shots, name+".png"), picture, 0o600); err != nil {
		t.Fatal(err)
	}
}

// colours makes the browser prefer light or dark.
func colours(theme string) step {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
		})
		return chromedp.Void{}, err
	}
}
