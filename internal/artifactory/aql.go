package artifactory

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// mostQuery is how long a query may be: Artifactory refuses more than 6,000
// characters.
const mostQuery = 5900

// suspicious is the number of rows at which old versions cut off an unlimited
// query without saying so.
const suspicious = 1000

// query asks for the manifests of repositories. Never sorted (the open-source
// edition refuses), never limited (permissions are applied after the limit, so
// that a short page says nothing), never with properties (they multiply rows).
type query struct {
	repos    []string
	since    time.Time // zero = all
	image    string    // only this image; "" = all
	from, to string    // only paths in [from, to); "" = open
	props    string    // field that since is of; "" = the dates of the file
	any      bool      // files of any name and folder, not the manifests of tags alone
	parts    int       // how often it was cut in halves because it took too long
}

// manifestRow is one manifest file.
type manifestRow struct {
	Repo     string      `json:"repo"`
	Path     string      `json:"path"`
	Name     string      `json:"name"`
	SHA256   hexDigest   `json:"sha256"`
	Size     json.Number `json:"size"`
	Created  stamp       `json:"created"`
	Modified stamp       `json:"modified"`
}

// hexDigest is the SHA-256 of a file, kept as a digest is written; "" = unknown.
type hexDigest string

// UnmarshalJSON never fails.
func (d *hexDigest) UnmarshalJSON(b []byte) error {
	if text := strings.ToLower(strings.Trim(string(b), `"`)); isHex64(text) {
		*d = hexDigest("sha256:" + text)
	}
	return nil
}

// stamp is a time in any of the forms that versions of Artifactory write; what
// cannot be read is unknown, not an error.
type stamp struct{ time.Time }

// UnmarshalJSON never fails.
func (s *stamp) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700"} {
		if t, err := time.Parse(layout, text); err == nil {
			s.Time = t.UTC()
			return nil
		}
	}
	return nil
}

// aqlAnswer is what came with the rows.
type aqlAnswer struct {
	at      time.Time // the server's clock
	trimmed bool      // the server says that there is more
}

// errNoAQL says that the server does not take queries from this user.
var errNoAQL = errors.New("queries are refused")

func (q query) String() string {
	and := []any{either("repo", q.repos), term{"type": "file"}}
	if q.any {
		and = append(and, term{"name": term{"$nmatch": "*.marker"}})
	} else {
		and = append(and, either("name", []string{"manifest.json", "list.manifest.json"}))
		for _, skip := range []string{"*/sha256:*", "*/sha256__*", "*/_uploads*"} {
			and = append(and, term{"path": term{"$nmatch": skip}})
		}
	}
	if q.image != "" {
		and = append(and, term{"path": term{"$match": q.image + "/*"}})
	}
	if q.from != "" {
		and = append(and, term{"path": term{"$gte": q.from}})
	}
	if q.to != "" {
		and = append(and, term{"path": term{"$lt": q.to}})
	}
	if !q.since.IsZero() {
		// A time without a zone would be read in the server's: always say Z.
		t := q.since.UTC().Format("2006-01-02T15:04:05.000Z")
		gte := term{"$gte": t}
		if q.props != "" {
			and = append(and, term{q.props: gte})
		} else {
			and = append(and, term{"$or": []any{term{"modified": gte}, term{"created": gte}, term{"updated": gte}}})
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(term{"$and": and}); err != nil {
		return "" // strings and maps of strings always encode
	}
	// repo, path and name are what the server demands of those who are not administrators.
	return "items.find(" + strings.TrimSpace(b.String()) +
		`).include("repo","path","name","sha256","size","created","modified","updated")`
}

type term map[string]any

func either(field string, values []string) term {
	if len(values) == 1 {
		return term{field: values[0]}
	}
	or := make([]any, len(values))
	for i, v := range values {
		or[i] = term{field: v}
	}
	return term{"$or": or}
}

// batches splits repositories so that each query keeps to the length allowed.
func (q query) batches() []query {
	var out []query
	rest := q.repos
	for len(rest) > 0 {
		n := len(rest)
		for n > 1 && len(withRepos(q, rest[:n]).String()) > mostQuery {
			n = (n + 1) / 2
		}
		for n < len(rest) && len(withRepos(q, rest[:n+1]).String()) <= mostQuery {
			n++
		}
		out = append(out, withRepos(q, rest[:n]))
		rest = rest[n:]
	}
	return out
}

func withRepos(q query, repos []string) query {
	q.repos = repos
	return q
}

// find runs a query and gives each row to yield, some of them perhaps twice. Where the answer may have been
// cut off by a limit that nobody asked for, or takes the server too long, it asks
// again in halves.
func (c *Client) find(ctx context.Context, q query, yield func(manifestRow)) (aqlAnswer, error) {
	names := map[string]string{} // one copy of each repository's and file's name
	paths, ans, err := c.findOnce(ctx, q, func(r manifestRow) {
		r.Repo, r.Name = intern(names, r.Repo), intern(names, r.Name)
		yield(r)
	})
	if errors.Is(err, errTooSlow) {
		return c.findSlowly(ctx, q, err, yield)
	}
	if err != nil {
		return ans, err
	}
	if !ans.trimmed && len(paths) != suspicious {
		return ans, nil
	}
	middle, ok := middlePath(paths, q)
	if !ok {
		return ans, inventory.Errorf(inventory.ErrUnavailable, "the server trims the answer to a query of one folder")
	}
	c.opts.Logger.InfoContext(ctx, "query is repeated in halves", "rows", len(paths), "trimmed", ans.trimmed)
	low, high := q, q
	low.to, high.from = middle, middle
	if _, err := c.find(ctx, low, yield); err != nil {
		return ans, err
	}
	_, err = c.find(ctx, high, yield)
	return ans, err
}

// errTooSlow says that the server gave a query up.
var errTooSlow = errors.New("the query takes the server too long")

// mostParts ends the cutting of a query that stays too slow.
const mostParts = 6

// findSlowly asks for half of the repositories at a time, and of one repository
// for half of the alphabet.
func (c *Client) findSlowly(ctx context.Context, q query, cause error, yield func(manifestRow)) (aqlAnswer, error) {
	low, high := q, q
	if n := len(q.repos); n > 1 {
		low.repos, high.repos = q.repos[:n/2], q.repos[n/2:]
	} else if middle, ok := middleLetter(q.from, q.to); ok && q.parts < mostParts {
		low.to, high.from = middle, middle
		low.parts, high.parts = q.parts+1, q.parts+1
	} else {
		return aqlAnswer{}, cause
	}
	c.opts.Logger.InfoContext(ctx, "query takes too long; it is repeated in halves", "repositories", len(q.repos), "parts", q.parts+1)
	ans, err := c.find(ctx, low, yield)
	if err != nil {
		return ans, err
	}
	_, err = c.find(ctx, high, yield)
	return ans, err
}

// middleLetter halves the first letters between two paths; not ok where there is
// none between them.
func middleLetter(from, to string) (string, bool) {
	low, high := byte('0'), byte('z')
	if from != "" {
		low = from[0]
	}
	if to != "" {
		high = to[0]
	}
	if high <= low+1 {
		return "", false
	}
	return string(rune(low + (high-low)/2)), true
}

// middlePath is a path that splits the rows; not ok if they are all of one path.
func middlePath(paths []string, q query) (string, bool) {
	slices.Sort(paths)
	paths = slices.Compact(paths)
	if len(paths) < 2 {
		return "", false
	}
	middle := paths[len(paths)/2]
	return middle, middle != q.from && middle != q.to
}

// search sends one query as it is.
func (c *Client) search(ctx context.Context, text string, yield func(manifestRow)) (aqlAnswer, error) {
	select { // one query at a time: more are answered with 429
	case c.aql <- struct{}{}:
		defer func() { <-c.aql }()
	case <-ctx.Done():
		return aqlAnswer{}, ctx.Err()
	}
	return c.postAQL(ctx, text, yield)
}

// findOnce sends one query, and repeats it if the answer was cut off: rows may come
// twice. It returns the paths of the last answer's rows.
func (c *Client) findOnce(ctx context.Context, q query, yield func(manifestRow)) ([]string, aqlAnswer, error) {
	for try := 0; ; try++ {
		var paths []string
		ans, err := c.search(ctx, q.String(), func(r manifestRow) {
			paths = append(paths, r.Path)
			yield(r)
		})
		var cut *cutError
		if !errors.As(err, &cut) || try >= 2 || ctx.Err() != nil {
			return paths, ans, err
		}
		if err := sleep(ctx, c.wire.backoff(try)); err != nil {
			return nil, ans, err
		}
	}
}

func (c *Client) postAQL(ctx context.Context, body string, yield func(manifestRow)) (aqlAnswer, error) {
	base, err := c.ready(ctx)
	if err != nil {
		return aqlAnswer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/search/aql", strings.NewReader(body))
	if err != nil {
		return aqlAnswer{}, fmt.Errorf("query %s: %w", c.addr.Host, err)
	}
	req.Header.Set("Content-Type", "text/plain")
	req.Header.Set("Accept", "application/json, */*")
	resp, err := c.http.Do(req)
	if err != nil {
		return aqlAnswer{}, c.transportProblem(err)
	}
	defer drain(resp)
	ans := aqlAnswer{at: c.serverTime(resp.Header)}
	if resp.StatusCode != http.StatusOK || isHTML(resp.Header, "") {
		return ans, c.aqlRefusal(resp)
	}
	ans.trimmed, err = decodeAQL(resp.Body, yield)
	return ans, err
}

// aqlRefusal tells "not from this user" and "not here" from a failure.
func (c *Client) aqlRefusal(resp *http.Response) error {
	text := peek(resp)
	err := c.answerProblem(resp, text, "query "+c.addr.Host)
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType,
		http.StatusNotImplemented:
		return fmt.Errorf("%w: %w", errNoAQL, err)
	case http.StatusRequestTimeout:
		return fmt.Errorf("%w: %w", errTooSlow, err)
	case http.StatusUnauthorized: // of a good credential it would have been judged a 403
		return c.refusal(resp.StatusCode, text)
	}
	return err
}

// serverTime is the server's clock as its answer says.
func (c *Client) serverTime(h http.Header) time.Time {
	if t, err := http.ParseTime(h.Get("Date")); err == nil {
		return t.UTC()
	}
	return c.opts.Now().UTC().Truncate(time.Second)
}

// cutError says that an answer ended before its end: an error after the first
// byte cannot change the status.
type cutError struct{ error }

// Unwrap keeps the cause.
func (e *cutError) Unwrap() error { return e.error }

func cutOff(err error) error {
	return &cutError{inventory.Errorf(inventory.ErrUnavailable, "the answer to a query was cut off: %w", err)}
}

// decodeAQL streams rows to yield. An answer without its closing range is cut
// off, whatever the status was.
func decodeAQL(r io.Reader, yield func(manifestRow)) (trimmed bool, err error) {
	dec := json.NewDecoder(r)
	if err := expect(dec, '{'); err != nil {
		return false, cutOff(err)
	}
	complete := false
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return false, cutOff(err)
		}
		switch key {
		case "results":
			err = decodeRows(dec, yield)
		case "range":
			var rng struct {
				Notification string `json:"notification"`
			}
			err = dec.Decode(&rng)
			complete = err == nil
			trimmed = trimmed || strings.Contains(rng.Notification, "trimmed")
		case "notification":
			var note string
			err = dec.Decode(&note)
			trimmed = trimmed || strings.Contains(note, "trimmed")
		default:
			var skip json.RawMessage
			err = dec.Decode(&skip)
		}
		if err != nil {
			return false, cutOff(err)
		}
	}
	if err := expect(dec, '}'); err != nil {
		return false, cutOff(err)
	}
	if !complete {
		return false, cutOff(errors.New("it has no range"))
	}
	return trimmed, nil
}

func decodeRows(dec *json.Decoder, yield func(manifestRow)) error {
	if err := expect(dec, '['); err != nil {
		return err
	}
	for dec.More() {
		var r manifestRow
		if err := dec.Decode(&r); err != nil {
			return err
		}
		yield(r)
	}
	return expect(dec, ']')
}

func expect(dec *json.Decoder, want json.Delim) error {
	got, err := dec.Token()
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%v where %v was expected", got, want)
	}
	return nil
}
