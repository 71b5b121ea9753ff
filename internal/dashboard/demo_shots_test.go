package dashboard_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	for _, path := range []string{
		"images", "vulnerabilities", "packages", "bases", "activity", "integrations", "connect", "find", "exceptions", "search?q=lib",
		"integrations/demo/progress", "integrations/demo/sent", "integrations/demo/disconnect", "integrations/demo/delete",
		"settings/account", "settings/users", "settings/tokens", "settings/notifications", "settings/notifications/new?kind=slack",
		"settings/audit", "settings/advisories", "settings/redaction",
	} {
		name, _, _ := strings.Cut(strings.ReplaceAll(path, "/", "-"), "?")
		pages = append(pages, look{name, root + "/" + path})
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
				if width == 1280 && slices.Contains([]string{"images", "image"}, one.name) {
					small(t, ctx, filepath.Join(filepath.Dir(*shots), one.name+"-"+theme+".png"))
				}
			}
		}
	}
}

// small keeps what a window shows, as few bytes as PNG needs for it: it is for README.
func small(t *testing.T, ctx context.Context, path string) { //nolint:revive // t comes first in a test's helper
	t.Helper()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatalf("picture for README: %v", err)
	}
	img, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, paletted(img)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// paletted draws a picture with the colours that it has most of; the rest, as at the
// edges of letters, become the nearest of those.
func paletted(img image.Image) *image.Paletted {
	count := map[color.Color]int{}
	bounds := img.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[img.At(x, y)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int { return count[b] - count[a] })
	out := image.NewPaletted(bounds, color.Palette(colours[:min(len(colours), 128)]))
	nearest := make(map[color.Color]uint8, len(count))
	for c := range count {
		nearest[c] = uint8(out.Palette.Index(c)) //nolint:gosec // 128 at the most
	}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			out.SetColorIndex(x, y, nearest[img.At(x, y)])
		}
	}
	return out
}
