package advisory

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Limits of one import.
const (
	maxDocument = 32 << 20 // bytes of one JSON value
	maxPlain    = 1 << 30  // bytes of a decompressed CSV
	batchSize   = 500
	batchBytes  = 4 << 20
	maxProblems = 100 // named; all are counted
)

// Sink takes what feeds hold, in batches. Batches of one feed may be given again
// after a failure: a sink must be idempotent. It must not keep a batch's slice.
type Sink interface {
	Advisories(ctx context.Context, batch []inventory.Advisory) error
	KEV(ctx context.Context, entries []inventory.KEV) error
	EPSS(ctx context.Context, scores []inventory.EPSS) error
}

// Problem is a record or file that was not taken, and why.
type Problem struct {
	Name    string `json:"name"`
	Problem string `json:"problem"`
}

func (p Problem) String() string { return p.Name + ": " + p.Problem }

// Result is what an import took and what it did not.
type Result struct {
	Records   int       `json:"records"`
	Withdrawn int       `json:"withdrawn"` // of the records
	KEV       int       `json:"kev"`
	EPSS      int       `json:"epss"`
	Malformed int       `json:"malformed"` // records and rows not taken
	Problems  []Problem `json:"problems"`  // the first 100 of them, named
	Newest    time.Time `json:"newest"`    // newest "modified" of the records
	// Feeds are what bundles say of themselves: how fresh they were where they were made.
	Feeds []BundleFeed `json:"feeds,omitempty"`
}

func (r *Result) problem(name, format string, args ...any) {
	r.Malformed++
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, Problem{clip(name, 300), clip(fmt.Sprintf(format, args...), 300)})
	}
}

func (r *Result) problems(in string, list []Problem) {
	for _, p := range list {
		r.problem(in+" "+p.Name, "%s", p.Problem)
	}
}

// Import reads a file or a directory of files (OSV zip, OSV JSON or JSON lines, KEV
// JSON, EPSS CSV, the last two also gzipped, a bundle of Export; recognised by content)
// into sink. Zips are verified whole before the first batch, so that a damaged one
// changes nothing. A path that holds nothing it knows is ErrInvalid.
func Import(ctx context.Context, path string, sink Sink) (Result, error) {
	return ImportSigned(ctx, path, nil, sink)
}

// ImportSigned takes only bundles that key has signed; a nil key asks for none.
func ImportSigned(ctx context.Context, path string, key ed25519.PublicKey, sink Sink) (Result, error) {
	run := &importer{sink: sink, result: Result{Problems: []Problem{}}}
	files, err := filesOf(path)
	if err != nil {
		return run.result, err
	}
	budget := holdBytes
	sources := make([]source, len(files))
	for i, name := range files {
		sources[i].path = name
		before := budget
		defer sources[i].close()
		if err := sources[i].verify(ctx, key, &budget); err != nil {
			return run.result, err
		}
		if budget < 0 { // did not fit whole: unpacked again when its turn comes
			sources[i].held, sources[i].again, budget = nil, true, before
		}
	}
	for i := range sources {
		if err := run.file(ctx, &sources[i], len(files) > 1); err != nil {
			return run.result, err
		}
	}
	if err := run.flush(ctx); err != nil {
		return run.result, err
	}
	if r := run.result; r.Records+r.KEV+r.EPSS == 0 {
		return r, nothingIn(path, r)
	}
	return run.result, nil
}

func nothingIn(path string, r Result) error {
	why := "nothing in it is an advisory"
	if len(r.Problems) > 0 {
		why = r.Problems[0].String()
	}
	return inventory.Errorf(inventory.ErrInvalid, "import %s: %s", path, why).
		WithRemedy("give an OSV zip, a directory of zips or JSON files, a KEV JSON file, an EPSS CSV file or a bundle")
}

// filesOf lists the files to read, in a stable order.
func filesOf(path string) ([]string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, inventory.Errorf(inventory.ErrNotFound, "import %s: no such file or directory", path)
	}
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", path, err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
	err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.HasPrefix(d.Name(), ".") {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", path, err)
	}
	slices.Sort(files)
	return files, nil
}

// importer is one run of Import.
type importer struct {
	sink   Sink
	result Result
	batch  []inventory.Advisory
	bytes  int
}

// file reads one file. In a directory (many), one that is nothing we know, or cannot be
// read as what it seems to be, is a problem of its own and the others are read.
func (run *importer) file(ctx context.Context, src *source, many bool) error {
	switch {
	case src.bundle != nil:
		return run.bundle(ctx, src.path, src.bundle)
	case src.zip:
		return run.zip(ctx, src)
	}
	// A list that is cut off in the middle must not be half taken: it is read once for
	// nothing, then in earnest.
	dry := &importer{sink: &counter{}}
	err := dry.open(ctx, src.path)
	if many && errors.Is(err, inventory.ErrInvalid) {
		run.result.problem(src.path, "%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	return run.open(ctx, src.path)
}

func (run *importer) open(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("import %s: %w", path, err)
	}
	defer f.Close()
	return run.plain(ctx, bufio.NewReaderSize(f, 64<<10), path)
}

// plain reads what is not a zip: JSON or CSV, gzipped or not.
func (run *importer) plain(ctx context.Context, in *bufio.Reader, name string) error {
	head, _ := in.Peek(512)
	if len(head) > 2 && head[0] == 0x1f && head[1] == 0x8b {
		gz, err := gzip.NewReader(in)
		if err != nil {
			return inventory.Errorf(inventory.ErrInvalid, "import %s: gunzip: %w", name, err)
		}
		in = bufio.NewReaderSize(&meter{from: gz, left: maxPlain}, 64<<10)
		head, _ = in.Peek(512)
	}
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case len(head) > 0 && (head[0] == '{' || head[0] == '['):
		return run.documents(ctx, in, name)
	case bytes.HasPrefix(head, []byte("#model_version")), bytes.HasPrefix(head, []byte("cve,epss")):
		return run.scores(ctx, in, name)
	}
	return inventory.Errorf(inventory.ErrInvalid, "import %s: neither a zip, nor JSON, nor EPSS CSV", name)
}

// documents reads one JSON value after the other: a record, an array of records, JSON
// lines, an answer of OSV's API, or the KEV catalogue.
func (run *importer) documents(ctx context.Context, in *bufio.Reader, name string) error {
	if bom, _ := in.Peek(3); string(bom) == "\xef\xbb\xbf" {
		_, _ = in.Discard(3)
	}
	limit := &meter{from: in}
	dec := json.NewDecoder(limit)
	depth := 0
	for n := 1; ; n++ {
		limit.left = maxDocument
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("import %s: %w", name, err)
		}
		if n == 1 && firstByte(in) == '[' {
			_, _ = dec.Token()
			depth++
		}
		if depth > 0 && !dec.More() {
			return run.closeArray(dec, name)
		}
		var raw json.RawMessage
		err := dec.Decode(&raw)
		if errors.Is(err, io.EOF) && depth == 0 {
			return nil
		}
		if err != nil {
			return inventory.Errorf(inventory.ErrInvalid, "import %s: value %d: %w", name, n, err)
		}
		if err := run.document(ctx, bytes.Clone(raw), fmt.Sprintf("%s #%d", name, n)); err != nil {
			return err
		}
	}
}

// firstByte is the first byte of a file's first value, 0 when there is none.
func firstByte(in *bufio.Reader) byte {
	head, _ := in.Peek(512)
	if head = bytes.TrimLeft(head, " \t\r\n"); len(head) == 0 {
		return 0
	}
	return head[0]
}

func (run *importer) closeArray(dec *json.Decoder, name string) error {
	if _, err := dec.Token(); err != nil {
		return inventory.Errorf(inventory.ErrInvalid, "import %s: the list is cut off: %w", name, err)
	}
	return nil
}

// document takes one JSON value.
func (run *importer) document(ctx context.Context, raw []byte, name string) error {
	d, err := readDocument(raw)
	if err != nil {
		run.result.problem(name, "%v", err)
		return nil
	}
	switch {
	case d.ID == "" && d.kev != nil:
		return run.kev(ctx, d.kev, name)
	case d.ID == "" && d.vulns != nil:
		for i, one := range d.vulns {
			if err := run.document(ctx, bytes.Clone(one), fmt.Sprintf("%s.%d", name, i+1)); err != nil {
				return err
			}
		}
		return nil
	}
	return run.record(ctx, d, raw, name)
}

func (run *importer) record(ctx context.Context, d *document, raw []byte, name string) error {
	a, err := d.advisory(raw)
	if err != nil {
		run.result.problem(name, "%v", err)
		return nil
	}
	return run.add(ctx, a)
}

func (run *importer) add(ctx context.Context, a inventory.Advisory) error {
	run.result.Records++
	if a.Withdrawn != nil {
		run.result.Withdrawn++
	}
	if a.Modified.After(run.result.Newest) {
		run.result.Newest = a.Modified
	}
	run.batch = append(run.batch, a)
	if run.bytes += len(a.Raw); len(run.batch) < batchSize && run.bytes < batchBytes {
		return nil
	}
	return run.flush(ctx)
}

func (run *importer) flush(ctx context.Context) error {
	if len(run.batch) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	if err := run.sink.Advisories(ctx, run.batch); err != nil {
		return fmt.Errorf("take %d advisories: %w", len(run.batch), err)
	}
	clear(run.batch)
	run.batch, run.bytes = run.batch[:0], 0
	return nil
}

func (run *importer) kev(ctx context.Context, raw json.RawMessage, name string) error {
	entries, bad, err := parseKEV(raw)
	run.result.problems(name, bad)
	if err != nil {
		run.result.problem(name, "%v", err)
		return nil
	}
	if err := run.sink.KEV(ctx, entries); err != nil {
		return fmt.Errorf("take %d known exploited vulnerabilities: %w", len(entries), err)
	}
	run.result.KEV += len(entries)
	return nil
}

func (run *importer) scores(ctx context.Context, in io.Reader, name string) error {
	rows, bad, err := parseEPSS(in)
	run.result.problems(name, bad)
	if err != nil {
		return fmt.Errorf("import %s: %w", name, err)
	}
	if err := run.sink.EPSS(ctx, rows); err != nil {
		return fmt.Errorf("take %d exploit prediction scores: %w", len(rows), err)
	}
	run.result.EPSS += len(rows)
	return nil
}

// meter is a reader that refuses to give more than left bytes.
type meter struct {
	from io.Reader
	left int64
}

func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, inventory.Errorf(inventory.ErrInvalid, "larger than allowed")
	}
	n, err := m.from.Read(p[:min(int64(len(p)), m.left)])
	m.left -= int64(n)
	return n, err
}
