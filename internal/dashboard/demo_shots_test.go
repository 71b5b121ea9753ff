package dashboard_test

import (
	"flag"
	"fmt"
	"net/url"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/tallyman-dev/tallyman/internal/dashboard/dashboardtest"
)

var demoLink = flag.String("demo", "", "sign-in link of a running demo, to take pictures of its pages (with -shots)") //nolint:gochecknoglobals // a flag of the test

// follow is where something on the pages of a demo leads: its address comes from a
// link of another page.
type follow struct{ name, page, selector string }

// TestDemoPictures takes every page of a running demo, in both themes, wide and narrow.
// It is what `make screenshots` runs.
func TestDemoPictures(t *testing.T) {
	if *demoLink == "" || *shots == "" {
		t.Skip("takes pictures with -demo LINK -shots DIRECTORY")
	}
	u, err := url.Parse(*demoLink)
	if err != nil {
		t.Fatal(err)
	}
	root := u.Scheme + "://" + u.Host
	ctx := dashboardtest.Chromium(t)
	dashboardtest.Do(t, ctx, "sign in", chromedp.EmulateViewport(1280, 900), chromedp.Navigate(root+"/signin"))
	type look struct{ name, url string }
	pages := []look{{"signin", root + "/signin"}}
	dashboardtest.Do(t, ctx, "sign in", chromedp.Navigate(*demoLink), dashboardtest.See("#overview"))
	pages = append(pages, look{"overview", root + "/"})
	for _, name := range []string{"images", "vulnerabilities", "packages", "bases", "activity", "integrations", "connect", "find"} {
		pages = append(pages, look{name, root + "/" + name})
	}
	for _, one := range []follow{
		{"image", "/images?sort=severity", "#images tbody th a.m"},
		{"repository", "/images?name=storefront", "#images tbody th a"},
		{"vulnerability", "/vulnerabilities?sort=images", "#flaws tbody th a"},
		{"who-has", "/packages?text=openssl", "main tbody th a"},
		{"integration", "/integrations", "#cards .acts a.btn"},
	} {
		dashboardtest.Do(t, ctx, one.name, chromedp.Navigate(root+one.page), dashboardtest.See("main"))
		target, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector(%q)?.href ?? ""`, one.selector)))
		if err != nil || target == "" {
			t.Fatalf("%s: no link on %s: %v", one.name, one.page, err)
		}
		pages = append(pages, look{one.name, target})
		if one.name == "repository" {
			dashboardtest.Do(t, ctx, "two tags", chromedp.Navigate(target), dashboardtest.See("#repository"))
			target, err = chromedp.Run(ctx, chromedp.Evaluate[string](`(() => {
				const refs = [...document.querySelectorAll("input[name=tag]")].map((i) => i.value);
				return new URL("/compare?" + new URLSearchParams({a: refs[refs.length - 1], b: refs[0]}), location).href;
			})()`))
			if err != nil {
				t.Fatalf("compare: %v", err)
			}
			pages = append(pages, look{"compare", target})
		}
	}
	for _, width := range []int64{1280, 390} {
		for _, theme := range []string{"light", "dark"} {
			dashboardtest.Do(t, ctx, "set the size", chromedp.EmulateViewport(width, 900), colours(theme))
			for _, one := range pages {
				name := fmt.Sprintf("%s-%s-%d", one.name, theme, width)
				dashboardtest.Do(t, ctx, name, chromedp.Navigate(one.url), dashboardtest.See("main"))
				keep(t, ctx, name)
			}
		}
	}
}
