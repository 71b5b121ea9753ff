package advisory

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Limits of one record. The largest real ones stay far below.
const (
	maxID       = 256
	maxAffected = 50_000
	maxRanges   = 5_000
	maxEvents   = 20_000
	maxVersions = 200_000
	maxVersion  = 1024
	maxName     = 1024
	maxSummary  = 4 << 10
	maxDetails  = 64 << 10
	maxLinks    = 200
	maxIDs      = 5_000
	maxRatings  = 16
)

// ParseRecord reads one OSV record. It keeps raw, which the caller must not change
// afterwards. A part that decides nothing and has the wrong type is passed over; a
// record whose id, times or affected packages are not what they should be is
// ErrInvalid. GIT ranges are left out: no package of an image has a commit.
func ParseRecord(raw []byte) (inventory.Advisory, error) {
	d, err := readDocument(raw)
	if err != nil {
		return inventory.Advisory{}, err
	}
	return d.advisory(raw)
}

// document is one JSON value of a feed: a record, or by kev or vulns another thing.
type document struct {
	inventory.Advisory
	modified, published, withdrawn string
	source                         string   // who rated it, where the record says so
	kev                            []byte   // "vulnerabilities": CISA's catalogue
	vulns                          [][]byte // "vulns": an answer of OSV's API
	scan                           scanner
}

func readDocument(raw []byte) (*document, error) {
	d := &document{scan: scanner{data: raw}}
	if d.scan.peek() != '{' {
		return nil, d.scan.wrong("not a record: no object")
	}
	err := d.scan.object(d.field)
	if err == nil {
		err = d.scan.end()
	}
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrInvalid, "not a record: %w", err)
	}
	return d, nil
}

func (d *document) field(key string) (err error) {
	switch s := &d.scan; key {
	case "id":
		d.ID, err = s.word()
	case "modified":
		d.modified, err = s.word()
	case "published":
		d.published, err = s.text()
	case "withdrawn":
		d.withdrawn, err = s.word()
	case "aliases":
		d.Aliases, err = s.ids()
	case "upstream":
		d.Upstream, err = s.ids()
	case "related":
		d.Related, err = s.ids()
	case "summary":
		d.Summary, err = s.text()
	case "details":
		d.Details, err = s.text()
	case "affected":
		d.Affected, err = s.affected()
	default:
		err = d.minor(key)
	}
	return err
}

func (d *document) minor(key string) (err error) {
	switch s := &d.scan; key {
	case "severity":
		var list []inventory.Severity
		list, err = s.ratings()
		d.Severity = append(list, d.Severity...)
	case "database_specific":
		var words ownWords
		words, err = s.own()
		d.Severity = append(d.Severity, words.ratings...)
		d.source = words.source
	case "references":
		d.Links, err = s.links()
	case "vulnerabilities":
		d.kev, err = s.rest()
	case "vulns":
		if s.peek() != '[' {
			return s.skip()
		}
		err = s.array(func() error {
			one, err := s.rest()
			d.vulns = append(d.vulns, one)
			return err
		})
	default:
		err = s.skip()
	}
	return err
}

// advisory is the record, checked.
func (d *document) advisory(raw []byte) (inventory.Advisory, error) {
	modified, published, withdrawn := moment(d.modified), moment(d.published), moment(d.withdrawn)
	switch {
	case d.ID == "":
		return d.Advisory, inventory.Errorf(inventory.ErrInvalid, "not a record: no id")
	case len(d.ID) > maxID || strings.ContainsFunc(d.ID, odd):
		return d.Advisory, inventory.Errorf(inventory.ErrInvalid, "not a record: id %q", clip(d.ID, 80))
	case d.withdrawn != "" && withdrawn == nil:
		return d.Advisory, inventory.Errorf(inventory.ErrInvalid, "%s: withdrawn is no time: %q", d.ID, clip(d.withdrawn, 80))
	case d.modified != "" && modified == nil:
		return d.Advisory, inventory.Errorf(inventory.ErrInvalid, "%s: modified is no time: %q", d.ID, clip(d.modified, 80))
	}
	if modified == nil {
		modified = published
	}
	if modified != nil {
		d.Modified = *modified
	}
	d.Published, d.Withdrawn, d.Raw = published, withdrawn, raw
	d.Summary, d.Details = clip(d.Summary, maxSummary), clip(d.Details, maxDetails)
	for _, list := range []*[]string{&d.Aliases, &d.Upstream, &d.Related, &d.Links} {
		if *list == nil {
			*list = []string{}
		}
	}
	for i := range d.Severity {
		if d.source != "" && d.Severity[i].Source == "" {
			d.Severity[i].Source = clip(d.source, 64)
		}
	}
	if d.Severity == nil {
		d.Severity = []inventory.Severity{}
	}
	if d.Affected == nil {
		d.Affected = []inventory.Affected{}
	}
	return d.Advisory, nil
}

// rest is the next value as it stands.
func (s *scanner) rest() ([]byte, error) {
	s.peek()
	start := s.pos
	err := s.skip()
	return s.data[start:s.pos], err
}

func (s *scanner) affected() ([]inventory.Affected, error) {
	if s.peek() == 'n' {
		return nil, s.literal()
	}
	var out []inventory.Affected
	err := s.array(func() error {
		if len(out) >= maxAffected {
			return s.wrong("names too many packages")
		}
		part, err := s.part()
		if part.Name != "" && part.Ecosystem != "" {
			out = append(out, part)
		}
		return err
	})
	return out, err
}

// part reads one element of "affected".
func (s *scanner) part() (inventory.Affected, error) {
	part := inventory.Affected{Ranges: []inventory.Range{}, Versions: []string{}, Severity: []inventory.Severity{}}
	err := s.object(func(key string) (err error) {
		switch key {
		case "package":
			part.Ecosystem, part.Name, err = s.pkg()
		case "ranges":
			part.Ranges, err = s.ranges()
		case "versions":
			part.Versions, err = s.versions()
		case "severity":
			var list []inventory.Severity
			list, err = s.ratings()
			part.Severity = append(list, part.Severity...)
		case "ecosystem_specific", "database_specific":
			var words ownWords
			words, err = s.own()
			part.Severity = append(part.Severity, words.ratings...)
			part.Urgency += words.urgency
		default:
			err = s.skip()
		}
		return err
	})
	return part, err
}

func (s *scanner) pkg() (ecosystem, name string, err error) {
	if s.peek() == 'n' {
		return "", "", s.literal()
	}
	err = s.object(func(key string) (err error) {
		switch key {
		case "ecosystem":
			ecosystem, err = s.word()
		case "name":
			name, err = s.word()
		default:
			err = s.skip()
		}
		return err
	})
	if len(ecosystem) > maxName || len(name) > maxName {
		return "", "", s.wrong("a name too long")
	}
	return ecosystem, name, err
}

func (s *scanner) ranges() ([]inventory.Range, error) {
	out := []inventory.Range{}
	if s.peek() == 'n' {
		return out, s.literal()
	}
	err := s.array(func() error {
		var one inventory.Range
		err := s.object(func(key string) (err error) {
			switch key {
			case "type":
				one.Type, err = s.word()
			case "events":
				one.Events, err = s.events()
			default:
				err = s.skip()
			}
			return err
		})
		if err == nil && len(out) >= maxRanges {
			return s.wrong("too many ranges")
		}
		if one.Type != "GIT" && len(one.Events) > 0 {
			out = append(out, one)
		}
		return err
	})
	return out, err
}

func (s *scanner) events() ([]inventory.Event, error) {
	if s.peek() == 'n' {
		return nil, s.literal()
	}
	out := make([]inventory.Event, 0, 2)
	err := s.array(func() error {
		// An object with several edges is several events.
		return s.object(func(key string) error {
			var e inventory.Event
			at, known := edge(&e, key)
			if !known {
				return s.skip()
			}
			var err error
			if *at, err = s.word(); err != nil {
				return err
			}
			if len(*at) > maxVersion || len(out) >= maxEvents {
				return s.wrong("a version too long, or too many of them,")
			}
			if *at != "" {
				out = append(out, e)
			}
			return nil
		})
	})
	return out, err
}

func edge(e *inventory.Event, key string) (*string, bool) {
	switch key {
	case "introduced":
		return &e.Introduced, true
	case "fixed":
		return &e.Fixed, true
	case "last_affected":
		return &e.LastAffected, true
	case "limit":
		return &e.Limit, true
	}
	return nil, false
}

func (s *scanner) versions() ([]string, error) {
	out := []string{}
	if s.peek() == 'n' {
		return out, s.literal()
	}
	err := s.array(func() error {
		v, err := s.word()
		if len(v) > maxVersion || len(out) >= maxVersions {
			return s.wrong("a version too long, or too many of them,")
		}
		out = append(out, v)
		return err
	})
	return out, err
}

// ids keeps the ids that can be shown and looked up.
func (s *scanner) ids() ([]string, error) {
	if s.peek() != '[' {
		return nil, s.skip()
	}
	out := []string{}
	err := s.array(func() error {
		id, err := s.text()
		if id != "" && len(id) <= maxID && len(out) < maxIDs && !strings.ContainsFunc(id, odd) {
			out = append(out, id)
		}
		return err
	})
	return out, err
}

func (s *scanner) links() ([]string, error) {
	if s.peek() != '[' {
		return nil, s.skip()
	}
	out := []string{}
	err := s.array(func() error {
		if s.peek() != '{' {
			return s.skip()
		}
		return s.object(func(key string) error {
			if key != "url" {
				return s.skip()
			}
			url, err := s.text()
			if url != "" && len(url) <= maxSummary && len(out) < maxLinks {
				out = append(out, url)
			}
			return err
		})
	})
	return out, err
}

func (s *scanner) ratings() ([]inventory.Severity, error) {
	out := []inventory.Severity{}
	if s.peek() != '[' {
		return out, s.skip()
	}
	err := s.array(func() error {
		if s.peek() != '{' {
			return s.skip()
		}
		var one inventory.Severity
		err := s.object(func(key string) (err error) {
			switch key {
			case "type":
				one.Type, err = s.text()
			case "score":
				one.Score, err = s.text()
			default:
				err = s.skip()
			}
			return err
		})
		if one.Score != "" && len(out) < maxRatings {
			out = append(out, inventory.Severity{Type: clip(one.Type, 32), Score: clip(one.Score, 512)})
		}
		return err
	})
	return out, err
}

// ownWords is what a source says in the parts that are free to it.
type ownWords struct {
	ratings []inventory.Severity // a word ("MODERATE"), a vector or a bare score
	source  string
	urgency string
}

func (s *scanner) own() (words ownWords, err error) {
	if s.peek() != '{' {
		return words, s.skip()
	}
	err = s.object(func(key string) error {
		switch key {
		case "urgency", "severity_source", "severity", "ubuntu_priority",
			"cvss", "cvss_v4", "cvss_v3", "cvss_v2", "cvss_score":
		default:
			return s.skip()
		}
		value, err := s.text()
		if err != nil || value == "" || len(value) > 512 {
			return err
		}
		switch key {
		case "urgency":
			words.urgency = clip(value, 64)
		case "severity_source":
			words.source = value
		default:
			if one := rating(key, value); one.Score != "" && len(words.ratings) < maxRatings {
				words.ratings = append(words.ratings, one)
			}
		}
		return nil
	})
	return words, err
}

// rating is what one such key says; without a score when it says nothing.
func rating(key, value string) inventory.Severity {
	switch {
	case strings.HasPrefix(value, "CVSS:4."):
		return inventory.Severity{Type: "CVSS_V4", Score: value}
	case strings.HasPrefix(value, "CVSS:3."):
		return inventory.Severity{Type: "CVSS_V3", Score: value}
	case key == "ubuntu_priority":
		return inventory.Severity{Type: "Ubuntu", Score: value}
	case key == "severity":
		return inventory.Severity{Type: "word", Score: value}
	}
	if score, err := strconv.ParseFloat(value, 64); err != nil || !(score > 0 && score <= 10) {
		return inventory.Severity{}
	}
	return inventory.Severity{Type: "score", Score: value}
}

func odd(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) || r == '/' || r == '\\' }

func moment(s string) *time.Time {
	if s == "" {
		return nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return nil
	}
	t = t.UTC()
	return &t
}

// clip shortens s to at most n bytes, at a character's border.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
