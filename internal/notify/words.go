package notify

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// flawTitle is one sentence about flaws and the images they are in.
func flawTitle(kind string, list []inventory.NoticeFlaw, images int) string {
	where := count(images, "image", "images")
	if len(list) > 1 {
		return fmt.Sprintf(map[string]string{
			inventory.NewsNew: "%s new: %s in %s", inventory.NewsFixable: "%s can be fixed now: %s in %s",
			inventory.NewsKEV: "%s known to be exploited now: %s in %s", inventory.NewsWithdrawn: "%s withdrawn: %s, were in %s",
			inventory.NewsSeverity: "%s rated differently now: %s in %s",
		}[kind], count(len(list), "flaw", "flaws"), tally(list), where)
	}
	f := list[0]
	switch kind {
	case inventory.NewsFixable:
		return fmt.Sprintf("%s (%s) can be fixed now: %s", f.ID, f.Severity, where)
	case inventory.NewsKEV:
		return fmt.Sprintf("%s (%s) is known to be exploited: %s", f.ID, f.Severity, where)
	case inventory.NewsWithdrawn:
		return fmt.Sprintf("%s (%s) does not stand any more: it was in %s", f.ID, f.Severity, where)
	case inventory.NewsSeverity:
		return fmt.Sprintf("%s is %s now, was %s: %s", f.ID, f.Severity, f.Was, where)
	}
	return fmt.Sprintf("%s (%s) is in %s", f.ID, f.Severity, where)
}

// arrivalTitle is one sentence about an image that was pushed.
func arrivalTitle(reference string, list []inventory.NoticeFlaw) string {
	return fmt.Sprintf("%s brings %s", inventory.Printable(reference), tally(list))
}

func failureTitle(images int, reference string) string {
	if images == 1 {
		return inventory.Printable(reference) + " could not be analysed"
	}
	return count(images, "image", "images") + " could not be analysed"
}

// watchTitle is one sentence about later images that have what somebody looks out for.
func watchTitle(name, query string, images int, reference string) string {
	who := inventory.Printable(reference) + " has "
	if images > 1 {
		who = count(images, "later image", "later images") + " have "
	}
	return who + inventory.Printable(query) + " (watch " + inventory.Printable(name) + ")"
}

func platformTitle(one inventory.News) string {
	if one.Kind == inventory.NewsIntegrationBroken {
		return "Integration " + inventory.Printable(one.Reference) + " cannot read all of its registry"
	}
	return "The advisories are old: new flaws go unseen"
}

// tally is "1 critical, 3 high".
func tally(list []inventory.NoticeFlaw) string {
	var n [len(inventory.Severities)]int
	for _, f := range list {
		n[inventory.SeverityRank(f.Severity)]++
	}
	var parts []string
	for i, name := range inventory.Severities {
		if n[i] > 0 {
			parts = append(parts, thousands(n[i])+" "+name)
		}
	}
	return strings.Join(parts, ", ")
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}

// thousands writes 10000 as 10,000.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// short cuts a text to so many characters.
func short(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most-1]) + "…"
}

// facts is what a message says of a flaw besides its id; quote makes names from outside
// harmless.
func facts(f inventory.NoticeFlaw, quote func(string) string) string {
	names := func(list []string) string {
		out := make([]string, 0, len(list))
		for _, s := range list {
			out = append(out, quote(s))
		}
		return strings.Join(out, ", ")
	}
	var parts []string
	if len(f.Packages) > 0 {
		parts = append(parts, names(f.Packages))
	}
	if len(f.Fixed) > 0 {
		parts = append(parts, "fixed in "+names(f.Fixed))
	} else if len(f.Packages) > 0 {
		parts = append(parts, "no fix yet")
	}
	if f.KEV {
		parts = append(parts, "known to be exploited")
	}
	if f.EPSS > 0 {
		parts = append(parts, fmt.Sprintf("EPSS %.0f %%", 100*f.EPSS))
	}
	return strings.Join(parts, " · ")
}

// sample is a made-up message of a kind.
func sample(kind string, now time.Time) inventory.Notice {
	f := inventory.NoticeFlaw{
		ID: "CVE-2021-44228", Severity: inventory.Critical, Summary: "Remote code execution in Apache Log4j 2", KEV: true, EPSS: 0.94,
		Packages: []string{"log4j-core 2.14.1"}, Fixed: []string{"2.17.1"},
	}
	n := inventory.Notice{
		ID: newID(), Event: kind, At: now, References: []string{"registry.example/docker-local/shop/storefront:1.14.0"},
		Findings: []inventory.NoticeFlaw{f}, Images: 1, Severity: f.Severity,
	}
	switch kind {
	case inventory.NewsTest:
		n.Title, n.Findings, n.Images, n.Severity = "Tallyman can reach this channel", []inventory.NoticeFlaw{}, 0, ""
		n.References = []string{}
	case inventory.NewsImageFailed:
		n.Title, n.Problem = failureTitle(1, n.References[0]), "a layer is damaged: its digest is not what the manifest says"
		n.Findings, n.Severity = []inventory.NoticeFlaw{}, ""
	case inventory.NewsWatch:
		n.Title = watchTitle("old-openssl", "openssl <3.0.12", 1, n.References[0])
		n.Findings, n.Severity = []inventory.NoticeFlaw{}, ""
	case inventory.NewsIntegrationBroken, inventory.NewsFeedStale:
		one := inventory.News{Kind: kind, Reference: "acme"}
		n.Title, n.Problem, n.Remedy = platformTitle(one), "authentication failed: invalid credentials or insufficient permissions", "give it a new token"
		if kind == inventory.NewsFeedStale {
			n.Problem, n.Remedy = "the last advisories were taken in three days ago", "take in new ones: tallyman advisories import PATH"
		}
		n.Findings, n.References, n.Images, n.Severity = []inventory.NoticeFlaw{}, []string{}, 0, ""
	default:
		n.Findings[0].Was = map[string]string{inventory.NewsSeverity: inventory.High}[kind]
		n.Title = flawTitle(kind, n.Findings, n.Images)
	}
	return n
}
