package index

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"runtime"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci"
)

// Version is the indexer's. It goes up whenever the same layer would give another
// record, or the same records another image: everything is then read again,
// newest first, as its images come by.
const Version = 3

// Ledger is what indexing needs from the store.
type Ledger interface {
	// MissingLayers says which layers this holder should read, and leases them to
	// it for 45 seconds. A layer that another holder reads is not among them;
	// asking again renews the lease.
	MissingLayers(ctx context.Context, diffIDs []string, indexer int, holder string) ([]string, error)
	// LayerBodies gives the records that are there; missing ones are left out.
	LayerBodies(ctx context.Context, diffIDs []string, indexer int) (map[string][]byte, error)
	// SaveLayer keeps a record and what was verified of its blob, and ends the lease.
	SaveLayer(ctx context.Context, rec inventory.LayerRecord) error
	// VerifiedDiffID says which diff ID somebody found in a blob.
	VerifiedDiffID(ctx context.Context, blobDigests []string) (map[string]string, error)
	KnownChains(ctx context.Context, chainIDs []string, indexer int) (map[string]bool, error)
	// SaveImage keeps an image and the chains that were not known, in one transaction.
	SaveImage(ctx context.Context, img inventory.Image, chains []inventory.ChainRecord) error
}

// Options are the indexer's settings; the zero value is usable.
type Options struct {
	Limits   Limits
	Parallel int    // layers read at once, over all images; 0 = one a processor
	TempDir  string // "" = the system's
	Holder   string // name on leases; "" = one made up
	// KeepEnv records values of environment variables whose names do not say that
	// they are secret.
	KeepEnv bool
	// NoReferrers leaves out what was attached to an image after it was pushed.
	NoReferrers bool
	Logger      *slog.Logger
	// OnLayer is told of each layer that was downloaded and its compressed bytes.
	OnLayer func(diffID string, bytes int64)
}

// Indexer indexes images into one ledger. It is safe for use by several goroutines.
type Indexer struct {
	ledger Ledger
	opts   Options
	reader *layerReader
	codec  *codec
	stacks stackCache
	// flights holds the layers that are being read, by blob digest and diff ID.
	flights singleflight.Group
	slots   chan struct{}
	log     *slog.Logger
}

// New makes an indexer.
func New(ledger Ledger, opts Options) *Indexer {
	if opts.Parallel <= 0 {
		opts.Parallel = runtime.GOMAXPROCS(0)
	}
	if opts.Holder == "" {
		opts.Holder = rand.Text()
	}
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	limits := opts.Limits.withDefaults()
	return &Indexer{
		ledger: ledger, opts: opts, log: log, codec: newCodec(), slots: make(chan struct{}, opts.Parallel),
		reader: &layerReader{list: extractors(), limits: limits, mem: newMemory(limits.SpoolMemory), dir: opts.TempDir},
	}
}

// Image indexes what digest points to, an image or an index with all its Linux
// images, and saves it. What cannot be indexed for good is saved as failed or
// unsupported with the reason, and is no error. An error means that nothing
// final is known: ErrUnavailable may pass, and with ErrNotFound, ErrUnauthorized
// and ErrForbidden another place may have the manifest.
func (x *Indexer) Image(ctx context.Context, src oci.Source, digest string) (inventory.Image, error) {
	m, err := src.Manifest(ctx, digest)
	if err != nil {
		if oci.IsDigest(digest) && (errors.Is(err, inventory.ErrUnsupported) || errors.Is(err, inventory.ErrInvalid)) {
			return x.verdict(ctx, inventory.Image{Digest: digest, Kind: inventory.ImageKind}, err)
		}
		return inventory.Image{}, err
	}
	return x.manifest(ctx, src, m, nil, 0)
}

// maxNesting bounds indexes in indexes.
const maxNesting = 3

func (x *Indexer) manifest(ctx context.Context, src oci.Source, m oci.Manifest, attested []oci.Descriptor, depth int) (inventory.Image, error) {
	switch m.Kind {
	case inventory.IndexKind:
		return x.index(ctx, src, m, depth)
	case inventory.ImageKind:
		return x.platform(ctx, src, m, attested)
	}
	img := inventory.Image{Digest: m.Digest, MediaType: m.MediaType, Kind: m.Kind, Size: size(m)}
	return x.verdict(ctx, img, inventory.Errorf(inventory.ErrUnsupported, "%s", m.Reason))
}

// verdict saves an image that cannot be indexed, with the reason. Trouble that
// may pass is handed up instead.
func (x *Indexer) verdict(ctx context.Context, img inventory.Image, cause error) (inventory.Image, error) {
	switch {
	case errors.Is(cause, inventory.ErrUnavailable), errors.Is(cause, inventory.ErrUnauthorized), errors.Is(cause, context.Canceled):
		return img, cause
	case errors.Is(cause, inventory.ErrUnsupported):
		// What is not there yet, in a cache, may come: the next reconcile looks.
		img.State, img.Retry = inventory.StateUnsupported, errors.Is(cause, inventory.ErrNotFound)
	case errors.Is(cause, inventory.ErrNotFound), errors.Is(cause, inventory.ErrForbidden):
		// A blob that is gone may come back, a policy may change: worth a look at
		// the next reconcile, not a retry now.
		img.State, img.Retry = inventory.StateFailed, true
	case errors.Is(cause, inventory.ErrInvalid):
		img.State = inventory.StateFailed
	default:
		return img, cause
	}
	// A stack that was not recorded cannot be stood on.
	img.Problem, img.Indexer, img.ChainID = cause.Error(), Version, ""
	return img, x.save(ctx, img, nil)
}

func (x *Indexer) save(ctx context.Context, img inventory.Image, chains []inventory.ChainRecord) error {
	fillEmpty(&img)
	return x.ledger.SaveImage(ctx, img, chains)
}

// fillEmpty keeps JSON arrays from being null.
func fillEmpty(img *inventory.Image) {
	if img.Layers == nil {
		img.Layers = []inventory.ImageLayer{}
	}
	if img.Members == nil {
		img.Members = []inventory.IndexMember{}
	}
	if img.Problems == nil {
		img.Problems = []inventory.LayerProblem{}
	}
	if img.Attached == nil {
		img.Attached = []inventory.Attached{}
	}
	c := &img.Config
	for _, list := range []*[]string{&c.Env, &c.Entrypoint, &c.Cmd, &c.Ports, &c.Volumes} {
		if *list == nil {
			*list = []string{}
		}
	}
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	if c.History == nil {
		c.History = []inventory.History{}
	}
}

// index indexes all Linux members, then saves the list of them.
func (x *Indexer) index(ctx context.Context, src oci.Source, m oci.Manifest, depth int) (inventory.Image, error) {
	img := inventory.Image{Digest: m.Digest, MediaType: m.MediaType, Kind: inventory.IndexKind, Size: int64(len(m.Raw)), Indexer: Version, State: inventory.StateWaiting}
	if depth >= maxNesting {
		return x.verdict(ctx, img, inventory.Errorf(inventory.ErrUnsupported, "index %s lies in indexes deeper than %d", m.Digest, maxNesting))
	}
	attestations := map[string][]oci.Descriptor{}
	for _, d := range m.Members {
		if about := d.Annotations["vnd.docker.reference.digest"]; d.IsAttestationMember() && about != "" {
			attestations[about] = append(attestations[about], d)
		}
	}
	linux := 0
	none := inventory.Errorf(inventory.ErrUnsupported, "the index has no image for Linux")
	for _, d := range m.Members {
		member, err := x.member(ctx, src, d, attestations[d.Digest], depth)
		if err != nil {
			return img, err
		}
		if member.Kind != inventory.AttestationKind && member.State != inventory.StateUnsupported {
			linux++
		}
		if member.State == inventory.StateUnsupported && member.Retry {
			none = &inventory.Error{Kind: inventory.ErrUnsupported, Err: inventory.ErrNotFound, Msg: member.Problem}
		}
		img.Members = append(img.Members, inventory.IndexMember{Digest: d.Digest, Kind: member.Kind, Platform: member.Platform})
		if member.Created != nil && (img.Created == nil || member.Created.After(*img.Created)) {
			img.Created = member.Created
		}
		if img.Origin == (inventory.Origin{}) {
			img.Origin = member.Origin
		}
	}
	if linux == 0 {
		return x.verdict(ctx, img, none)
	}
	return img, x.save(ctx, img, nil)
}

// member indexes one entry of an index.
func (x *Indexer) member(ctx context.Context, src oci.Source, d oci.Descriptor, attested []oci.Descriptor, depth int) (inventory.Image, error) {
	img := inventory.Image{Digest: d.Digest, MediaType: d.MediaType, Size: d.Size, Kind: inventory.ImageKind, Platform: d.Platform.String()}
	if d.IsAttestationMember() {
		img.Kind = inventory.AttestationKind
		return img, nil
	}
	if d.Platform != nil && d.Platform.OS != "" && d.Platform.OS != "linux" {
		return x.verdict(ctx, img, notLinux(img.Platform))
	}
	m, err := src.Manifest(ctx, d.Digest)
	if err != nil {
		return x.verdict(ctx, img, err)
	}
	return x.manifest(ctx, src, m, attested, depth+1)
}

func notLinux(platform string) error {
	return inventory.Errorf(inventory.ErrUnsupported, "platform %s is not indexed: only Linux images are", platform)
}

// platform indexes one platform's image.
func (x *Indexer) platform(ctx context.Context, src oci.Source, m oci.Manifest, attested []oci.Descriptor) (inventory.Image, error) {
	started := time.Now()
	img, chains, err := x.build(ctx, src, m)
	if err != nil {
		return x.verdict(ctx, img, err)
	}
	if err := x.attached(ctx, src, &img, attested); err != nil {
		return img, err
	}
	img.State = inventory.StateWaiting // for matching
	if err := x.save(ctx, img, chains); err != nil {
		return img, err
	}
	x.log.DebugContext(ctx, "image indexed", "digest", img.Digest, "layers", len(img.Layers), "new_chains", len(chains), "took", time.Since(started))
	return img, nil
}

// build reads config and layers and squashes them. The image is filled as far as
// it got, whatever the error.
func (x *Indexer) build(ctx context.Context, src oci.Source, m oci.Manifest) (inventory.Image, []inventory.ChainRecord, error) {
	img := inventory.Image{Digest: m.Digest, MediaType: m.MediaType, Kind: m.Kind, Size: size(m), Indexer: Version}
	raw, err := oci.ReadBlob(ctx, src, m.Config)
	if err != nil {
		return img, nil, err
	}
	c, err := oci.ParseConfig(raw, x.opts.KeepEnv)
	if err != nil {
		return img, nil, err
	}
	img.Platform, img.Created, img.Config, img.Origin = c.Platform.String(), c.Created, c.Config, c.Origin
	if c.Platform.OS != "" && c.Platform.OS != "linux" {
		return img, nil, notLinux(img.Platform)
	}
	if len(c.DiffIDs) != len(m.Layers) {
		return img, nil, inventory.Errorf(inventory.ErrInvalid, "image %s has %d layers, its config names %d", m.Digest, len(m.Layers), len(c.DiffIDs))
	}
	parent := ""
	for i, d := range m.Layers {
		parent = chainID(parent, c.DiffIDs[i])
		img.Layers = append(img.Layers, inventory.ImageLayer{
			Index: i, DiffID: c.DiffIDs[i], Digest: d.Digest, Size: d.Size, MediaType: d.MediaType, CreatedBy: c.CreatedBy[i], ChainID: parent,
		})
	}
	img.ChainID = parent
	fresh, left, err := x.readLayers(ctx, src, m.Layers, c.DiffIDs)
	if err != nil {
		return img, nil, err
	}
	chains, err := x.squash(ctx, &img, fresh)
	if err == nil && left { // squash waited for the other holder
		_, _, err = x.readLayers(ctx, src, m.Layers, c.DiffIDs)
	}
	return img, chains, err
}

func size(m oci.Manifest) int64 {
	n := m.Config.Size
	for _, l := range m.Layers {
		n += l.Size
	}
	return n
}

// chainID is the identity of a stack of layers, as OCI defines it.
func chainID(parent, diffID string) string {
	if parent == "" {
		return diffID
	}
	s := sha256.Sum256([]byte(parent + " " + diffID))
	return "sha256:" + hex.EncodeToString(s[:])
}
