package dashboard_test

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/tallyman-dev/tallyman/internal/dashboard"
	"github.com/tallyman-dev/tallyman/internal/dashboard/dashboardtest"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

var shots = flag.String("shots", "", "write a screenshot of every page into this directory") //nolint:gochecknoglobals // a flag of the test

// TestBrowser goes the way of somebody who connects a registry and looks at an image.
func TestBrowser(t *testing.T) {
	ctx := dashboardtest.Chromium(t)
	heard := dashboardtest.Listen(ctx)
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

	dashboardtest.Do(t, ctx, "sign in", chromedp.Navigate(srv.URL+"/signin/setup-link"), dashboardtest.See("#overview"))
	dashboardtest.Do(t, ctx, "open the form", chromedp.Navigate(srv.URL+"/connect"),
		dashboardtest.Enter("#nm", "second"), dashboardtest.Enter("#ur", "https://second.example"), dashboardtest.Enter("#pw", "wrong"),
		dashboardtest.Enter("#rk", "docker-local\ndocker-legacy"), dashboardtest.Click(`button[value="test"]`), dashboardtest.See("#result"))
	dashboardtest.Says(t, ctx, "#result", "authentication failed: invalid credentials or insufficient permissions")
	dashboardtest.Do(t, ctx, "right token", dashboardtest.Enter("#pw", "right"), dashboardtest.Click(`button[value="test"]`), dashboardtest.See("#h-t"))
	dashboardtest.Says(t, ctx, "#result", "repository access failed for: docker-legacy")
	dashboardtest.Do(t, ctx, "fix the keys", chromedp.SetValue(chromedp.CSS("#rk"), "docker-local"), dashboardtest.Click(`button[value="test"]`), dashboardtest.See("#result.is-ok"))
	dashboardtest.Do(t, ctx, "save", dashboardtest.Click(`button[value="save"]`), dashboardtest.See("#progress"))
	dashboardtest.Says(t, ctx, ".note.is-ok", "second is connected")
	dashboardtest.Says(t, ctx, "#progress", "Listing")
	f.mu.Lock()
	f.integrations[f.at("second")].LastPoll = ptr(now())
	f.mu.Unlock()
	dashboardtest.Says(t, ctx, "#progress", "Finished")

	dashboardtest.Do(t, ctx, "search", chromedp.KeyEvent("/"), chromedp.KeyEvent("checkout\r"), dashboardtest.See("#images"))
	dashboardtest.Says(t, ctx, "#images", "payments/checkout-api")
	dashboardtest.Do(t, ctx, "open the report", dashboardtest.Click(`#images tbody a.m`), dashboardtest.See(".three"))
	dashboardtest.Do(t, ctx, "critical only", dashboardtest.Click("a.sev.big.c"), dashboardtest.See(`a.sev.big.c[aria-current]`))
	dashboardtest.Do(t, ctx, "fixable only", dashboardtest.Click(`input[name="fixable"]`), dashboardtest.Click(".filters button"), dashboardtest.See(`input[name="fixable"][checked]`))
	dashboardtest.Says(t, ctx, "section[aria-labelledby=h-v]", "CVE-2025-24813", "CVE-2023-45853", "CVE-2025-48734")
	dashboardtest.Do(t, ctx, "one layer", dashboardtest.Click(`a[data-layer="4"]`), dashboardtest.See(`a[data-layer="4"][aria-current]`))
	dashboardtest.Says(t, ctx, "section[aria-labelledby=h-v]", "CVE-2025-49794", "CVE-2025-24813")
	dashboardtest.Do(t, ctx, "a second layer", chromedp.Evaluate[chromedp.Void](`document.querySelector('a[data-layer="5"]').dispatchEvent(new MouseEvent("click", {shiftKey: true, bubbles: true, cancelable: true}))`),
		dashboardtest.See(`a[data-layer="5"][aria-current]`))
	dashboardtest.Says(t, ctx, "section[aria-labelledby=h-v]", "CVE-2025-24813")

	dashboardtest.Do(t, ctx, "to the repository", dashboardtest.Click(".crumb a:last-child"), dashboardtest.See("#repository"))
	for _, n := range []int{2, 1, 3} { // the third takes the place of the first
		dashboardtest.Do(t, ctx, "tick a tag", dashboardtest.Click(fmt.Sprintf("#repository tbody tr:nth-child(%d) input", n)))
	}
	ticked, err := chromedp.Run(ctx, chromedp.Evaluate[int](`document.querySelectorAll("#repository input:checked").length`))
	if err != nil || ticked != 2 {
		t.Errorf("%d tags are ticked, %v", ticked, err)
	}
	dashboardtest.Do(t, ctx, "compare", dashboardtest.Click("#repository form button"), dashboardtest.See("#h-From"))
	dashboardtest.Says(t, ctx, "h1", "Compare latest with 4.18.2")

	dashboardtest.Do(t, ctx, "sign out", dashboardtest.Click(".who button"), dashboardtest.See(".lone"))
	if list := heard.Take(); len(list) > 0 {
		t.Errorf("the browser complains: %q", list)
	}
}

// TestBrowserSeesNewImages: an open page changes by itself.
func TestBrowserSeesNewImages(t *testing.T) {
	ctx := dashboardtest.Chromium(t)
	heard := dashboardtest.Listen(ctx)
	f := sample()
	srv := serve(t, f)
	dashboardtest.Do(t, ctx, "open the images", chromedp.Navigate(srv.URL+"/signin/setup-link"), chromedp.Navigate(srv.URL+"/images"), dashboardtest.See("#images"))
	f.mu.Lock()
	row := f.tags[1]
	row.Image, row.Reference, row.Pushed = "brand/new", "acme.jfrog.io/docker-local/brand/new:1", ptr(now())
	f.tags = append(f.tags, row)
	f.mu.Unlock()
	dashboardtest.Do(t, ctx, "wait for the new image", dashboardtest.See(`a[href*="brand%2Fnew"]`))
	if list := heard.Take(); len(list) > 0 {
		t.Errorf("the browser complains: %q", list)
	}
}

// TestPagesInABrowser looks at every page in both themes, wide and narrow: the console
// is quiet and nothing sticks out to the side. With -shots it keeps pictures.
func TestPagesInABrowser(t *testing.T) {
	ctx := dashboardtest.Chromium(t)
	heard := dashboardtest.Listen(ctx)
	checker := dashboardtest.Axe(t)
	srv := serve(t, sample(), func(o *dashboard.Options) { o.OpenID = standInProvider{} })
	empty := serve(t, newFleet())
	dashboardtest.Do(t, ctx, "sign in", chromedp.Navigate(empty.URL+"/signin/setup-link"), chromedp.Navigate(srv.URL+"/signin"))
	people := realStore(t)
	fresh := serve(t, sample(), func(o *dashboard.Options) { o.Accounts = people })
	link, err := people.CreateSigninLink(t.Context(), "", now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
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
		{"base", srv.URL + "/base?integration=acme-main&repository=docker-local&image=base/java-21&tag=2026.11"},
		{"find", srv.URL + "/find?q=openssl+%3C3.0.12"},
		{"find-empty", srv.URL + "/find"},
		{"activity", srv.URL + "/activity"},
		{"integrations", srv.URL + "/integrations"},
		{"connect", srv.URL + "/connect"},
		{"integration", srv.URL + "/integrations/berlin-dc"},
		{"delete", srv.URL + "/integrations/acme-main/delete"},
		{"search", srv.URL + "/search?q=o"},
		{"search-nothing", srv.URL + "/search?q=zzz-nowhere"},
		{"progress", srv.URL + "/integrations/berlin-dc/progress?done=added"},
		{"progress-done", srv.URL + "/integrations/acme-main/progress"},
		{"sent", srv.URL + "/integrations/acme-main/sent"},
		{"notifications", srv.URL + "/settings/notifications"},
		{"channel", srv.URL + "/settings/notifications/team?event=new"},
		{"channel-mail", srv.URL + "/settings/notifications/boss"},
		{"channel-new", srv.URL + "/settings/notifications/new"},
		{"channel-new-mail", srv.URL + "/settings/notifications/new?kind=mail"},
		{"channel-new-webhook", srv.URL + "/settings/notifications/new?kind=webhook"},
		{"feeds", srv.URL + "/settings/advisories"},
		{"exceptions", srv.URL + "/exceptions"},
		{"watches", srv.URL + "/watches?q=openssl+%3C3.0.12"},
		{"setup", fresh.URL + "/setup/" + link},
		{"setup-missing", fresh.URL + "/signin"},
		{"account", srv.URL + "/settings/account"},
		{"users", srv.URL + "/settings/users"},
		{"user-remove", srv.URL + "/settings/users/e.dit/remove"},
		{"tokens", srv.URL + "/settings/tokens"},
		{"audit", srv.URL + "/settings/audit"},
		{"redaction", srv.URL + "/settings/redaction"},
	}
	for _, width := range []int64{1280, 390} {
		for _, theme := range []string{"light", "dark"} {
			if *shots == "" && (width == 1280) != (theme == "light") {
				continue // without pictures each page once in each is enough
			}
			dashboardtest.Do(t, ctx, "set the size", chromedp.EmulateViewport(width, 900),
				colours(theme))
			for _, one := range looks {
				name := fmt.Sprintf("%s-%s-%d", one.name, theme, width)
				dashboardtest.Do(t, ctx, name, chromedp.Navigate(one.url), dashboardtest.See("main"))
				over, err := chromedp.Run(ctx, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if over > 0 {
					t.Errorf("%s: the page is %d px wider than the window", name, over)
				}
				out, err := chromedp.Run(ctx, chromedp.Evaluate[string](dashboardtest.SticksOut))
				if err != nil || out != "" {
					t.Errorf("%s: %q sticks out of its panel, %v", name, out, err)
				}
				dashboardtest.Accessible(t, ctx, name, checker)
				if *shots != "" {
					keep(t, ctx, name)
				}
			}
		}
	}
	if list := heard.Take(); len(list) > 0 {
		t.Errorf("the browser complains: %q", list)
	}
}

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
func colours(theme string) dashboardtest.Step {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
		})
		return chromedp.Void{}, err
	}
}
