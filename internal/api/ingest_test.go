package api_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/api"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/seal"
	"github.com/tallyman-dev/tallyman/internal/store"
	"github.com/tallyman-dev/tallyman/internal/store/storetest"
)

// farServer is a server with a real ledger, as a hostile watcher sees it.
type farServer struct {
	*httptest.Server
	store *store.Store
	token string // of the watcher "edge"
}

func newFarServer(t *testing.T) farServer {
	t.Helper()
	dir := t.TempDir()
	key, err := seal.LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), store.Options{Dir: dir, Key: key, KeysOf: storetest.KeysOf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	log := slog.New(slog.DiscardHandler)
	hub := &api.Hub{Store: st, Log: log, WantBaseline: func(ctx context.Context, id int64) error {
		_, err := st.RecordLook(ctx, inventory.Look{Integration: id, Kind: inventory.LookHint, Cursors: map[string]string{"baseline": "wanted"}})
		return err
	}}
	srv := httptest.NewServer(api.New(api.Options{
		Store: st, Hub: hub, Reader: &api.Reader{Store: st}, Judge: plainJudge{}, Log: log, TempDir: t.TempDir(),
		Far: &api.Far{Store: st, Indexer: 3, Holder: store.FarHolder},
	}))
	t.Cleanup(srv.Close)
	secret, err := st.CreateToken(t.Context(), "edge", inventory.ScopeIngest, nil)
	if err != nil {
		t.Fatal(err)
	}
	return farServer{srv, st, secret}
}

// watcher begins the work of the watcher "edge".
func (s farServer) watcher(t *testing.T, name, token string) (*client.Watcher, error) {
	t.Helper()
	c, err := client.New(s.URL, token, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Watcher(t.Context(), client.WatcherOptions{Name: name, Holder: "holder-of-" + name, Indexer: 3, Patience: time.Second})
}

// raw is one call as a hostile client makes it.
func (s farServer) raw(t *testing.T, method, path string, body []byte, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set(inventory.IngestHeader, inventory.IngestProtocol)
	req.Header.Set(inventory.HolderHeader, "holder-of-edge")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	if res.StatusCode >= 400 {
		var p api.Problem
		kind := res.Header.Get("Content-Type")
		if err := json.Unmarshal(answer.Bytes(), &p); err != nil || kind != "application/problem+json" || p.Detail == "" || p.Status != res.StatusCode {
			t.Errorf("%s %s: no problem but %s: %s", method, path, kind, answer.String())
		}
	}
	return res.StatusCode, answer.String()
}

func packed(t *testing.T, encoding string, body []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if encoding == "zstd" {
		zw, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = zw.Write(body)
		zw.Close()
		return out.Bytes()
	}
	zw := gzip.NewWriter(&out)
	_, _ = zw.Write(body)
	zw.Close()
	return out.Bytes()
}

const edge = "/api/v1/ingest/edge"

// TestHostileBodies: whatever is wrong with a body or its headers is said, and changes
// nothing.
func TestHostileBodies(t *testing.T) {
	s := newFarServer(t)
	hello := []byte(`{"indexer":3,"requests":{}}`)
	huge := append([]byte(`{"indexer":3,"requests":{},"x":"`), bytes.Repeat([]byte("a"), inventory.FarBodyUnpacked)...)
	half := packed(t, "gzip", hello)
	for name, c := range map[string]struct {
		body   []byte
		header []string
		status int
		says   string
	}{
		"plain":                 {hello, nil, 200, `"lease_s":120`},
		"gzip":                  {packed(t, "gzip", hello), []string{"Content-Encoding", "gzip"}, 200, `"due":0`},
		"zstd":                  {packed(t, "zstd", hello), []string{"Content-Encoding", "zstd"}, 200, `"due":0`},
		"brotli":                {hello, []string{"Content-Encoding", "br"}, 422, "use gzip, zstd or none"},
		"not what it says":      {hello, []string{"Content-Encoding", "gzip"}, 400, "cut off"},
		"cut off":               {half[:len(half)-9], []string{"Content-Encoding", "gzip"}, 400, "cut off"},
		"cut off before":        {half[:5], []string{"Content-Encoding", "gzip"}, 400, "cut off"},
		"a bomb of gzip":        {packed(t, "gzip", huge), []string{"Content-Encoding", "gzip"}, 413, "larger than this route takes"},
		"a bomb of zstd":        {packed(t, "zstd", huge), []string{"Content-Encoding", "zstd"}, 413, "larger than this route takes"},
		"large as it is sent":   {huge[:inventory.FarBody+100], nil, 413, "larger than this route takes"},
		"unknown field":         {[]byte(`{"indexer":3,"requests":{},"extra":1}`), nil, 400, "extra"},
		"two values":            {append(append([]byte{}, hello...), hello...), nil, 400, "more than one"},
		"no JSON":               {[]byte(`indexer=3`), nil, 400, "not well-formed"},
		"a NUL":                 {[]byte(`{"indexer":3,"requests":{"a\u0000":{}}}`), nil, 400, "NUL"},
		"no protocol":           {hello, []string{inventory.IngestHeader, ""}, 422, "speaks version 1"},
		"another protocol":      {hello, []string{inventory.IngestHeader, "2"}, 422, "the same version of Tallyman on both sides"},
		"no holder":             {hello, []string{inventory.HolderHeader, ""}, 400, "does not name the process"},
		"a newer indexer":       {[]byte(`{"indexer":4,"requests":{}}`), nil, 422, "bring the server up"},
		"no indexer":            {[]byte(`{"indexer":0,"requests":{}}`), nil, 422, "not those of 0"},
		"a second live process": {hello, []string{inventory.HolderHeader, "another-process"}, 409, "alive already"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, _ := s.raw(t, "POST", edge, hello); status != 200 { // somebody holds the name
				t.Fatal(status)
			}
			status, answer := s.raw(t, "POST", edge, c.body, c.header...)
			if status != c.status || !strings.Contains(answer, c.says) {
				t.Errorf("%d %.300s, want %d and %q", status, answer, c.status, c.says)
			}
		})
	}
}

// TestLyingWatcher: a watcher cannot record what it was not told to read, speak of images
// or integrations that are not its own, or make stacks of layers that are not an image's.
func TestLyingWatcher(t *testing.T) {
	s := newFarServer(t)
	storetest.Connect(t, s.store, "ours")
	theirs := storetest.ConnectFar(t, s.store, "theirs", "other")
	victim := storetest.Digest("victim")
	storetest.Look(t, s.store, theirs, storetest.Start, storetest.Sight("local/app:1", victim, storetest.Start))
	w, err := s.watcher(t, "edge", s.token)
	if err != nil {
		t.Fatal(err)
	}
	id, err := w.Adopt(t.Context(), inventory.Integration{Name: "mine", Kind: "artifactory", URL: "https://user:hunter2@reg.example/artifactory?x=y", Registry: "reg.example"}, inventory.Secrets{Password: "hunter2"}, false)
	if err != nil {
		t.Fatal(err)
	}
	saved, err := s.store.Integration(t.Context(), "mine")
	if err != nil || saved.URL != "https://reg.example/artifactory" || saved.HasSecret || saved.Watcher != "edge" {
		t.Errorf("registered %+v, %v", saved, err)
	}
	storetest.Look(t, s.store, saved.ID, storetest.Start, storetest.Sight("local/app:1", storetest.Digest("own"), storetest.Start))
	if got, err := w.LiveTags(t.Context(), id, ""); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}

	registration := `{"kind":"artifactory","url":"https://x.example","registry":"x.example","repositories":[],"include":[],"exclude":[],"tags":[],"subdomain_mode":false,"baseline":false}`
	look := `{"kind":"poll","sightings":[],"baseline":[],"gone":[],"missed":[],"not_selected":0,"cursors":{},"indexer":3,"requests":{"by_class":{},"layer_bytes":0,"layers_read":0}}`
	layer := func(diff string) string {
		return fmt.Sprintf(`{"diff_id":%q,"digest":%q,"size":1,"indexer":3,"body":"AQID"}`, diff, storetest.Digest("blob"))
	}
	image := func(edit func(*inventory.ImageReport)) string {
		img, chains := storetest.Build("own", storetest.Layer{Name: "base"}, storetest.Layer{Name: "app"})
		img.State, img.Indexer = inventory.StateWaiting, 3
		for i := range chains {
			chains[i].Indexer = 3
			chains[i].ChainID = img.Layers[i].ChainID
		}
		report := inventory.ImageReport{Image: img, Chains: chains}
		edit(&report)
		b, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	same := func(*inventory.ImageReport) {}
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		says               string
	}{
		"another watcher":             {"POST", "/api/v1/ingest/other", `{"indexer":3,"requests":{}}`, 403, "is for the watcher of that name"},
		"a name that is none":         {"POST", "/api/v1/ingest/..%2f", `{"indexer":3,"requests":{}}`, 400, "not a name for a watcher"},
		"an integration of ours":      {"PUT", edge + "/integrations/ours", registration, 403, "watched by this server"},
		"an integration of theirs":    {"PUT", edge + "/integrations/theirs", registration, 403, "watched by watcher other"},
		"a look at theirs":            {"POST", edge + "/integrations/theirs/looks", look, 403, "watched by watcher other"},
		"a look at none":              {"POST", edge + "/integrations/none/looks", look, 404, "no integration"},
		"their tags":                  {"GET", edge + "/integrations/theirs/tags", ``, 403, "watched by watcher other"},
		"their images":                {"GET", edge + "/integrations/theirs/images", ``, 403, "watched by watcher other"},
		"their state":                 {"PUT", edge + "/integrations/theirs/state", `{"state":"error"}`, 403, "watched by watcher other"},
		"a state that is none":        {"PUT", edge + "/integrations/mine/state", `{"state":"disconnected"}`, 400, "not a state that a watcher tells"},
		"a look of no kind":           {"POST", edge + "/integrations/mine/looks", strings.Replace(look, "poll", "peek", 1), 400, "kind of look"},
		"a tag without digest":        {"POST", edge + "/integrations/mine/looks", strings.Replace(look, `"sightings":[]`, `"sightings":[{"key":"k","image":"i","tag":"t","digest":"x"}]`, 1), 400, "not a digest"},
		"a tag without name":          {"POST", edge + "/integrations/mine/looks", strings.Replace(look, `"sightings":[]`, `"sightings":[{"key":"k","image":"i","tag":"","digest":"x"}]`, 1), 400, "no name"},
		"counts below zero":           {"POST", edge + "/integrations/mine/looks", strings.Replace(look, `"layer_bytes":0`, `"layer_bytes":-1`, 1), 400, "cannot be right"},
		"a registry that is none":     {"PUT", edge + "/integrations/new", strings.Replace(registration, "https://x.example", "ftp://x", 1), 400, "URL"},
		"a layer that is not leased":  {"POST", edge + "/layers", layer(storetest.Digest("some layer")), 409, "not leased to this watcher"},
		"a layer without digest":      {"POST", edge + "/layers", layer("sha256:123"), 400, "not a digest"},
		"a layer of a newer indexer":  {"POST", edge + "/layers", strings.Replace(layer(storetest.Digest("x")), `"indexer":3`, `"indexer":99`, 1), 422, "bring the server up"},
		"a layer without record":      {"POST", edge + "/layers", strings.Replace(layer(storetest.Digest("x")), "AQID", "", 1), 400, "lacks"},
		"their image":                 {"POST", edge + "/images", image(func(r *inventory.ImageReport) { r.Image.Digest = victim }), 403, "none of the integrations"},
		"their image failed":          {"POST", edge + "/outcomes", fmt.Sprintf(`{"digest":%q,"problem":"x","requests":{}}`, victim), 403, "none of the integrations"},
		"an image on unread layers":   {"POST", edge + "/images", image(same), 409, "index the image again"},
		"an image on unknown stacks":  {"POST", edge + "/images", image(func(r *inventory.ImageReport) { r.Chains = r.Chains[1:] }), 409, "not known"},
		"a stack that lies":           {"POST", edge + "/images", image(func(r *inventory.ImageReport) { r.Image.Layers[1].ChainID = storetest.Digest("lie") }), 400, "its layers give"},
		"another image's stack":       {"POST", edge + "/images", image(func(r *inventory.ImageReport) { r.Chains[0].ChainID = storetest.Digest("lie") }), 400, "is none of image"},
		"an image analysed by itself": {"POST", edge + "/images", image(func(r *inventory.ImageReport) { r.Image.State = inventory.StateAnalysed }), 400, "not a state"},
		"an image of no kind":         {"POST", edge + "/images", image(func(r *inventory.ImageReport) { r.Image.Kind = "virus" }), 400, "not a kind"},
		"too many digests":            {"POST", edge + "/chains", `{"indexer":3,"digests":[` + strings.Repeat(`"",`, 5001) + `""]}`, 400, "more than 5000"},
		"too many errands":            {"POST", edge + "/errands", `{"held":[],"limit":100000}`, 400, "1 to 100"},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := s.raw(t, c.method, c.path, []byte(c.body))
			if status != c.status || !strings.Contains(answer, c.says) {
				t.Errorf("%d %.300s, want %d and %q", status, answer, c.status, c.says)
			}
		})
	}
	if got, err := s.store.Image(t.Context(), victim); err != nil || got.State != inventory.StateWaiting {
		t.Errorf("their image is %s, %v", got.State, err)
	}
	// A token that is for an integration may pass it on to another watcher.
	heir, err := s.store.CreateToken(t.Context(), "heir", inventory.ScopeIngest, nil)
	if err == nil {
		err = s.store.BindToken(t.Context(), "heir", []string{"mine", "ours"})
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"edge", "other"} {
		if _, err := s.watcher(t, name, heir); !errors.Is(err, inventory.ErrForbidden) {
			t.Errorf("it is watcher %s: %v", name, err)
		}
	}
	after, err := s.watcher(t, "after", heir)
	if err != nil {
		t.Fatal(err)
	}
	for name, allowed := range map[string]bool{"mine": true, "ours": false, "theirs": false} {
		_, err := after.Adopt(t.Context(), inventory.Integration{Name: name, URL: "https://reg.example", Registry: "reg.example"}, inventory.Secrets{}, false)
		if (err == nil) != allowed {
			t.Errorf("%s is taken over: %v", name, err)
		}
	}
	in, err := s.store.Integration(t.Context(), "mine")
	if err != nil || in.Watcher != "after" {
		t.Errorf("it is watched by %q, %v", in.Watcher, err)
	}
	if status, answer := s.raw(t, "POST", edge+"/integrations/mine/looks", []byte(look)); status != 403 {
		t.Errorf("the one before still writes: %d %s", status, answer)
	}
	in.Watcher = "edge"
	if err := s.store.UpdateIntegration(t.Context(), in, nil); err != nil {
		t.Fatal(err)
	}
	// With a lease, and records of its layers, the same image is taken, twice.
	img, _ := storetest.Build("own", storetest.Layer{Name: "base"}, storetest.Layer{Name: "app"})
	diffs := []string{img.Layers[0].DiffID, img.Layers[1].DiffID}
	if missing, err := w.MissingLayers(t.Context(), diffs, 3, ""); err != nil || len(missing) != 2 {
		t.Fatalf("missing %v, %v", missing, err)
	}
	for range 2 {
		for _, d := range diffs {
			if status, answer := s.raw(t, "POST", edge+"/layers", []byte(layer(d))); status != 204 {
				t.Errorf("%d %s", status, answer)
			}
		}
		if status, answer := s.raw(t, "POST", edge+"/images", []byte(image(same))); status != 204 {
			t.Errorf("%d %s", status, answer)
		}
	}
}

// FuzzFarBody: no body of a watcher breaks the server.
func FuzzFarBody(f *testing.F) {
	f.Add("", []byte(`{"indexer":3}`))
	f.Add("gzip", []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff})
	f.Add("zstd", []byte{0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x00, 0x01})
	f.Fuzz(func(t *testing.T, encoding string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("Content-Encoding", encoding)
		var hello inventory.WatcherHello
		_ = api.ReadFar(httptest.NewRecorder(), r, &hello)
	})
}
