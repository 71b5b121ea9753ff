package discover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const (
	// mostConfirmed is how many missing tags are asked for one by one in one
	// look; more wait for the next complete listing to lack them too.
	mostConfirmed = 200
	// fewLost is how many tags may vanish from a small repository before their
	// share of it is looked at.
	fewLost = 3
	// expiresSoon is how far ahead a token's end is told.
	expiresSoon = 14 * 24 * time.Hour
)

// Reconcile lists everything and records the difference: promoted images with
// old dates, deletions, whatever a webhook or a poll missed. Access is checked
// anew first. What cannot be told apart from a withdrawn permission makes the
// integration degraded and deletes nothing.
func (d *Discoverer) Reconcile(ctx context.Context) (inventory.LookResult, error) {
	release, err := d.take(ctx)
	if err != nil {
		return inventory.LookResult{}, err
	}
	defer release()
	return d.reconcile(ctx)
}

func (d *Discoverer) reconcile(ctx context.Context) (inventory.LookResult, error) {
	look, err := d.everything(ctx, nil)
	if err != nil {
		return inventory.LookResult{}, d.failed(ctx, "reconcile", err)
	}
	return d.record(ctx, look)
}

// everything makes the look of a full listing; w is the window of a backfill, or nil.
func (d *Discoverer) everything(ctx context.Context, w *window) (inventory.Look, error) {
	var none inventory.Look
	if err := d.client.Revalidate(ctx); err != nil {
		return none, err
	}
	selected, err := d.client.Select(ctx, d.wantedKeys())
	if err != nil {
		return none, err
	}
	l, err := d.client.Tags(ctx, artifactory.Ask{Keys: selected, Images: d.filter.exactImages()})
	if err != nil {
		return none, err
	}
	if l.At.IsZero() {
		l.At = d.opts.Now().UTC().Truncate(time.Second) // nothing could be asked
	}
	accept, err := d.store.Cursor(ctx, d.in.ID, CursorAcceptLoss)
	if err != nil {
		return none, err
	}
	look := d.look(inventory.LookReconcile, l.At)
	vanished, err := d.vanishedKeys(ctx, &look, selected, accept != "")
	if err != nil {
		return none, err
	}
	selected = append(selected, vanished...)
	look.Sightings, look.NotSelected = d.filter.keep(l.Tags)
	stamp := l.At.Format(time.RFC3339)
	look.Cursors = map[string]string{CursorReconcile: stamp}
	if len(l.Problems) == 0 {
		look.Cursors[CursorPoll] = stamp
	}
	if accept != "" {
		look.Cursors[CursorAcceptLoss] = ""
	}
	if err := d.compare(ctx, &look, l, selected, accept != ""); err != nil {
		return none, err
	}
	if err := d.filled(ctx, &look, selected); err != nil {
		return none, err
	}
	if err := d.choose(ctx, &look, l, selected, w); err != nil {
		return none, err
	}
	d.selected, d.listed = selected, d.opts.Now()
	return look, d.conclude(ctx, selected, l.At)
}

// filled marks what a remote cached more of since the last full listing: what was
// not cached of it then may be now.
func (d *Discoverer) filled(ctx context.Context, look *inventory.Look, selected []inventory.RepositoryKey) error {
	value, err := d.store.Cursor(ctx, d.in.ID, CursorReconcile)
	if err != nil {
		return err
	}
	since, unknown := time.Parse(time.RFC3339, value)
	remote := func(r inventory.RepositoryKey) bool {
		return r.OK && (r.Class == artifactory.ClassRemote || r.Class == artifactory.ClassVirtual)
	}
	if unknown != nil || !slices.ContainsFunc(selected, remote) {
		return nil //nolint:nilerr // the first listing: nothing was looked at before
	}
	images, err := d.client.Filled(ctx, selected, since.Add(-overlap))
	if err != nil {
		if ctx.Err() == nil {
			d.opts.Logger.InfoContext(ctx, "what was cached lately is not known", "integration", d.in.Name, "error", err)
		}
		return ctx.Err()
	}
	for i := range look.Sightings {
		s := &look.Sightings[i]
		s.Filled = images[inventory.Repository{Key: s.Key, Image: s.Image}]
	}
	return nil
}

// vanishedKeys are repositories that were there and are listed no more, where
// all that can be read is wanted: the permission may have been withdrawn. Those
// of which the ledger has nothing are forgotten, as are all once the loss is
// accepted.
func (d *Discoverer) vanishedKeys(ctx context.Context, look *inventory.Look, selected []inventory.RepositoryKey, accept bool) ([]inventory.RepositoryKey, error) {
	if len(d.in.Repositories) > 0 {
		return nil, nil
	}
	var out []inventory.RepositoryKey
	for _, k := range d.known {
		if slices.ContainsFunc(selected, func(r inventory.RepositoryKey) bool { return r.Key == k.Key }) {
			continue
		}
		live, err := d.store.LiveTags(ctx, d.in.ID, k.Key)
		switch {
		case err != nil:
			return nil, err
		case len(live) == 0:
		case accept:
			look.Gone = append(look.Gone, live...)
		default:
			k.OK, k.Error = false, "not listed any more: deleted, or Read was withdrawn; nothing was deleted here"
			k.Remedy = "give the user Read again; if it was deleted on purpose, confirm it with: tallyman integration resume " + d.in.Name
			out = append(out, k)
		}
	}
	return out, nil
}

// compare finds what the ledger believes and the listing lacks, key by key.
func (d *Discoverer) compare(ctx context.Context, look *inventory.Look, l artifactory.Listing, selected []inventory.RepositoryKey, accept bool) error {
	present := map[string]map[[2]string]bool{}
	for _, s := range l.Tags {
		if present[s.Key] == nil {
			present[s.Key] = map[[2]string]bool{}
		}
		present[s.Key][[2]string{s.Image, s.Tag}] = true
	}
	for i := range selected {
		r := &selected[i]
		if err := l.Problems[r.Key]; err != nil {
			r.OK, r.Error, r.Remedy = false, message(err), remedy(err)
		}
		if !r.OK {
			continue
		}
		tags := len(present[r.Key])
		r.Tags = &tags
		if !l.Complete[r.Key] {
			continue
		}
		if err := d.compareKey(ctx, look, r, present[r.Key], accept); err != nil {
			return err
		}
		if err := l.Refused[r.Key]; err != nil && r.OK {
			r.OK, r.Error, r.Remedy = false, "part of it is refused, the rest is followed: "+message(err), remedy(err)
		}
	}
	return nil
}

func (d *Discoverer) compareKey(ctx context.Context, look *inventory.Look, r *inventory.RepositoryKey, present map[[2]string]bool, accept bool) error {
	live, err := d.store.LiveTags(ctx, d.in.ID, r.Key)
	if err != nil {
		return err
	}
	absent := slices.DeleteFunc(slices.Clone(live), func(t inventory.LiveTag) bool { return present[[2]string{t.Image, t.Tag}] })
	if len(absent) == 0 {
		return nil
	}
	if err := d.access(ctx, *r, len(present)); err != nil {
		if ctx.Err() != nil {
			return err
		}
		r.OK, r.Error = false, fmt.Sprintf("%d tags are not listed any more, and access could not be confirmed: %s", len(absent), message(err))
		r.Remedy = "give the user Read again; nothing was deleted"
		return nil
	}
	silent := len(present) == 0
	// Of a repository that the server does not list to us, silence is what a
	// withdrawn permission looks like, however few its tags were.
	if (tooMany(len(absent), len(live)) || silent && !r.Listed) && !accept {
		r.OK, r.Error = false, fmt.Sprintf("%d of %d tags vanished at once; nothing was deleted", len(absent), len(live))
		if silent {
			r.Error = fmt.Sprintf("fell silent: none of its %d tags is listed any more; nothing was deleted", len(live))
		}
		r.Remedy = "check that the user may still read it; if the tags were deleted on purpose, confirm it with: tallyman integration resume " + d.in.Name
		return nil
	}
	return d.confirm(ctx, look, *r, absent, true)
}

// access makes sure that a repository can still be read. One that shows some of
// its tags can: only silence is doubted.
func (d *Discoverer) access(ctx context.Context, r inventory.RepositoryKey, shown int) error {
	if shown > 0 {
		return nil
	}
	return d.client.CheckAccess(ctx, r)
}

// tooMany says whether a loss is too great to be believed: over a fifth, and
// not just a tag or two of a small repository.
func tooMany(lost, of int) bool { return lost >= fewLost && lost*5 > of }

// confirm asks the registry for tags that a listing lacks. Not found: gone.
// Found: a sighting. No answer: gone if the listing before lacked it too.
func (d *Discoverer) confirm(ctx context.Context, look *inventory.Look, r inventory.RepositoryKey, absent []inventory.LiveTag, complete bool) error {
	var mu sync.Mutex
	return inParallel(ctx, len(absent), func(i int) error {
		t := absent[i]
		head, err := artifactory.Head{}, errTooMany
		if i < mostConfirmed {
			head, err = d.client.Confirm(ctx, r, t.Image, t.Tag)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case errors.Is(err, inventory.ErrNotFound):
			look.Gone = append(look.Gone, t)
		case err == nil && head.Digest == "":
		case err == nil:
			look.Sightings = append(look.Sightings, inventory.Sighting{
				Key: r.Key, Image: t.Image, Tag: t.Tag, Digest: head.Digest, MediaType: head.MediaType, At: look.At,
			})
		case !complete, errors.Is(err, inventory.ErrForbidden), errors.Is(err, inventory.ErrUnauthorized):
			d.opts.Logger.DebugContext(ctx, "tag is not listed and may not be asked for", "key", r.Key, "image", t.Image, "tag", t.Tag, "error", err)
		case t.Missed > 0:
			look.Gone = append(look.Gone, t)
		default:
			look.Missed = append(look.Missed, t)
		}
		return nil
	})
}

var errTooMany = errors.New("too many to ask one by one")

// inParallel calls work for 0..n-1, a few at a time, and returns the first error.
func inParallel(ctx context.Context, n int, work func(int) error) error {
	const workers = 3
	next := make(chan int)
	errs := make(chan error, workers)
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			var first error
			for i := range next {
				if first == nil {
					first = work(i)
				}
			}
			errs <- first
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// conclude saves what became of each key, and the integration's state.
func (d *Discoverer) conclude(ctx context.Context, selected []inventory.RepositoryKey, at time.Time) error {
	var failed []string
	var first inventory.RepositoryKey
	for i := range selected {
		selected[i].Checked = &at
		if k := selected[i]; !k.OK {
			if len(failed) == 0 {
				first = k
			}
			failed = append(failed, k.Key)
		}
	}
	if err := d.store.SaveKeys(ctx, d.in.ID, selected); err != nil {
		return fmt.Errorf("save the repositories of %s: %w", d.in.Name, err)
	}
	d.known = selected
	d.state = trouble{} // somebody may have paused and resumed meanwhile: say it anew
	d.lasting = trouble{state: inventory.IntegrationConnected}
	if len(failed) > 0 {
		state := inventory.IntegrationDegraded
		if len(failed) == len(selected) {
			state = inventory.IntegrationError
		}
		d.lasting = trouble{state, artifactory.AccessFailed + strings.Join(failed, ", ") + ": " + first.Error, first.Remedy}
	} else if len(selected) == 0 {
		d.lasting = trouble{inventory.IntegrationError, "no Docker or OCI repository can be read", "give the user Read on the repositories"}
	} else if left, expires := d.client.ExpiresIn(); expires && left < expiresSoon {
		d.lasting.problem = fmt.Sprintf("the token expires in %d days", max(0, int(left.Hours()/24)))
		d.lasting.remedy = "issue a new one and save it before"
	}
	return d.setState(ctx, d.lasting)
}
