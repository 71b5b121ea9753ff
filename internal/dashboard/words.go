package dashboard

import (
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// words are the functions of the templates: how numbers, times and names are written.
func (d *Dashboard) words() template.FuncMap {
	return template.FuncMap{
		"link":   func(path string) string { return d.Base + path },
		"num":    number,
		"many":   func(n int, word string) string { return some(n, word, word+"s") },
		"some":   some,
		"name":   shortName,
		"bytes":  size,
		"day":    day,
		"stamp":  stamp,
		"ago":    func(t any) string { return ago(d.Now(), t) },
		"age":    func(t any) string { return age(d.Now(), t) },
		"short":  shortDigest,
		"join":   strings.Join,
		"state":  stateClass,
		"State":  stateWord,
		"score":  func(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) },
		"chance": chance,
		"web":    webLink,
		"place":  bareAddress,
		"inc":    func(i int) int { return i + 1 },
		"path":   url.PathEscape,
		"kinds":  auditKinds,

		"remedy":   remedyOf,
		"delivery": deliveryClass,
		"Delivery": deliveryWord,
	}
}

// number writes a count with thousands apart: 12,304.
func number(v any) string {
	var n int64
	switch v := v.(type) {
	case int:
		n = int64(v)
	case int64:
		n = v
	default:
		return fmt.Sprint(v)
	}
	s := strconv.FormatInt(n, 10)
	for at := len(s) - 3; at > 0 && s[at-1] != '-'; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// size writes bytes as people read them: 28.2 MB.
func size(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	v, units := float64(n), "kMGTPE"
	for i := range units {
		if v /= 1000; v < 999.95 || i == len(units)-1 {
			return strconv.FormatFloat(v, 'f', 1, 64) + " " + units[i:i+1] + "B"
		}
	}
	return ""
}

func moment(v any) (time.Time, bool) {
	switch t := v.(type) {
	case time.Time:
		return t.UTC(), !t.IsZero()
	case *time.Time:
		if t != nil {
			return t.UTC(), !t.IsZero()
		}
	}
	return time.Time{}, false
}

// stamp is the machine's form of a time.
func stamp(v any) string {
	t, ok := moment(v)
	if !ok {
		return ""
	}
	return t.Format(time.RFC3339)
}

// day is the people's form of a time: date and, in UTC, the minute.
func day(v any) string {
	t, ok := moment(v)
	if !ok {
		return "unknown"
	}
	return t.Format("2 Jan 2006 15:04")
}

// age is how long something lasts: 41 d.
func age(now time.Time, v any) string {
	t, ok := moment(v)
	if !ok {
		return "unknown"
	}
	return span(now.Sub(t))
}

func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0 s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

func ago(now time.Time, v any) string {
	t, ok := moment(v)
	switch {
	case !ok:
		return "never"
	case now.Sub(t) < time.Second:
		return "just now"
	}
	return span(now.Sub(t)) + " ago"
}

// shortDigest keeps enough of a digest to tell it from others on sight.
func shortDigest(s string) string {
	s = strings.TrimPrefix(s, "sha256:")
	if len(s) <= 14 {
		return s
	}
	return s[:8] + "…" + s[len(s)-4:]
}

// chance writes a probability in per cent, small ones with a digit.
func chance(p float64) string {
	switch p *= 100; {
	case p >= 10:
		return strconv.Itoa(int(math.Round(p))) + " %"
	case p < .1:
		return "< 0.1 %"
	}
	return strconv.FormatFloat(p, 'f', 1, 64) + " %"
}

// webLink answers an address only when it leads to the web: labels are anybody's text.
func webLink(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return ""
	}
	return u.String()
}

// stateClass and stateWord show states of tags and integrations: shape and word.
func stateClass(s string) string {
	switch s {
	case "analysed", "connected":
		return "is-ok"
	case "failed", "error":
		return "is-err"
	case "degraded":
		return "is-warn"
	case "paused":
		return "is-pause"
	case "disconnected":
		return "is-off"
	}
	return "is-wait"
}

func stateWord(s string) string {
	if s == "" {
		return "Unknown"
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// percent writes a position in a drawing.
func percent(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) + "%" }

// some writes a count with its noun.
func some(n int, singular, plural string) string {
	if n == 1 {
		return "1 " + singular
	}
	return number(n) + " " + plural
}

// shortName is a reference without its registry and key, where it has them: what people
// call the image. The whole reference stands beside it as a title.
func shortName(ref string) string {
	parts := strings.Split(ref, "/")
	if len(parts) > 2 && strings.ContainsAny(parts[0], ".:") {
		return strings.Join(parts[2:], "/")
	}
	return ref
}

// bareAddress is a web address as people read it: without scheme, and the well-known hosts.
func bareAddress(address string) string {
	for _, prefix := range []string{"https://github.com/", "https://gitlab.com/", "https://", "http://"} {
		if rest, ok := strings.CutPrefix(address, prefix); ok {
			return rest
		}
	}
	return address
}
