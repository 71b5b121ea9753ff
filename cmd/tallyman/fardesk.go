package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/index"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const (
	// oncePatience is how long a pass with an end waits for a server that is away.
	oncePatience = 2 * time.Minute
	// sayAlive is how long the server may not have been asked anything: longer than the
	// usual time between two looks, which do too, and well inside what it allows.
	sayAlive = 75 * time.Second
	// matchPatience is how long a server may match without getting on.
	matchPatience = time.Minute
	// holderFile keeps what names this watcher's process, so that one that was killed and
	// starts again is known as the same.
	holderFile = "watcher.id"
)

// farDesk is a server far away. Nothing that it lacks is kept here but credentials, and
// those in memory: whoever is killed, and when, the work goes on where the server is.
type farDesk struct {
	*client.Watcher
	cfg farSettings
	log *slog.Logger

	mu      sync.Mutex
	targets map[int64]target // by the watcher's ids; guarded by mu
	held    map[string]bool  // digests that are being indexed; guarded by mu
	matched progressMark     // guarded by mu
}

// farSettings are those of the program that the desk needs.
type farSettings struct {
	workers int
	scratch string
}

// progressMark is a number that should fall, and since when it has not.
type progressMark struct {
	left  int
	since time.Time
}

// openFarDesk begins a watcher's work on a server.
func (a *app) openFarDesk(ctx context.Context, w watching) (*farDesk, error) {
	c, err := a.serverClient(w)
	if err != nil {
		return nil, err
	}
	if w.name, err = farName(ctx, c, w); err != nil {
		return nil, err
	}
	holder, err := a.holder()
	if err != nil {
		return nil, err
	}
	opts := client.WatcherOptions{Name: w.name, Holder: holder, Indexer: index.Version, Logger: a.log}
	if w.once {
		opts.Patience = oncePatience
	}
	if w.payload != nil {
		opts.Sent = payloadPrinter(w.payload)
	}
	d := &farDesk{
		log: a.log, targets: map[int64]target{}, held: map[string]bool{},
		cfg: farSettings{workers: a.cfg.Workers, scratch: filepath.Join(a.cfg.Data, "tmp")},
	}
	d.Watcher, err = c.Watcher(ctx, opts)
	return d, err
}

// serverClient speaks to the server with the token that is given, or that the agent's
// configuration has.
func (a *app) serverClient(w watching) (*client.Client, error) {
	token, err := a.cfg.ServerToken()
	if err != nil {
		return nil, err
	}
	if token = cmp.Or(token, w.token); token == "" {
		return nil, inventory.Errorf(inventory.ErrUnauthorized, "no token for %s", a.cfg.Server).
			WithRemedy("make one there with `tallyman token create NAME --scope ingest` and give it by --token-file or TALLYMAN_TOKEN")
	}
	return client.New(a.cfg.Server, token, nil)
}

// farName is the name of the watcher: its own, else the token's, else, where the token is
// for certain integrations, what those are called.
func farName(ctx context.Context, c *client.Client, w watching) (string, error) {
	if w.name != "" {
		return w.name, nil
	}
	for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
		me, err := c.Caller(ctx)
		switch {
		case err == nil && len(me.Integrations) == 0:
			return strings.TrimPrefix(me.Name, "token "), nil
		case err == nil:
			return watchName(w.targets), nil
		case !errors.Is(err, inventory.ErrUnavailable) || w.once:
			return "", err
		}
		if err := wait(ctx, pause); err != nil {
			return "", err
		}
	}
}

// holder names this process to those who share a ledger with it: the same name again
// when it starts anew in the same data directory.
func (a *app) holder() (string, error) {
	path := filepath.Join(a.cfg.Data, holderFile)
	b, err := os.ReadFile(path)
	if text := strings.TrimSpace(string(b)); err == nil && len(text) == 26 {
		return text, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", inventory.Errorf(inventory.ErrForbidden, "%s: %w", path, cause(err)).WithRemedy("let this user (uid %d) read it", os.Getuid())
	}
	text := rand.Text()
	if err := errors.Join(os.MkdirAll(a.cfg.Data, 0o700), os.WriteFile(path, []byte(text+"\n"), 0o600)); err != nil {
		return "", inventory.Errorf(inventory.ErrForbidden, "the state directory %s cannot be written by uid %d: %w", a.cfg.Data, os.Getuid(), cause(err)).
			WithRemedy("let that user write there, or give another place with --data")
	}
	return text, nil
}

// Adopt implements desk; credentials stay here.
func (d *farDesk) Adopt(ctx context.Context, in inventory.Integration, secrets inventory.Secrets, baseline bool) (int64, error) {
	id, err := d.Watcher.Adopt(ctx, in, secrets, baseline)
	if err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.targets[id] = target{in: in, secrets: secrets}
	return id, nil
}

// Known implements desk.
func (d *farDesk) Known(_ context.Context, t target) (target, error) {
	t.in.ID = d.Peek(t.in)
	return t, nil
}

// Secrets implements desk.
func (d *farDesk) Secrets(_ context.Context, id int64) (inventory.Secrets, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.targets[id]
	if !ok {
		return inventory.Secrets{}, inventory.Errorf(inventory.ErrNotFound, "integration %d is not watched here", id)
	}
	return t.secrets, nil
}

// alive tells the server now and then that the watcher lives, unless looks do. It ends
// with what no waiting cures: another watcher of the name, or a token that was revoked.
func (d *farDesk) alive(ctx context.Context) error {
	for wait(ctx, 5*time.Second) == nil {
		if d.Stale() < sayAlive {
			continue
		}
		err := d.Refresh(ctx)
		if err != nil && ctx.Err() == nil && !errors.Is(err, inventory.ErrUnavailable) {
			return err
		}
	}
	return nil
}

// busy says that images are indexed, or that the server gets on matching them.
func (d *farDesk) busy(ctx context.Context) (bool, error) {
	d.mu.Lock()
	busy := len(d.held) > 0
	d.mu.Unlock()
	if busy {
		return true, nil
	}
	if err := d.Refresh(ctx); err != nil {
		return false, err
	}
	if d.Waiting() > 0 {
		return true, nil
	}
	st, err := d.Status(ctx)
	if err != nil {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if st.Waiting != d.matched.left || d.matched.since.IsZero() {
		d.matched = progressMark{st.Waiting, time.Now()}
	}
	return st.Waiting > 0 && time.Since(d.matched.since) < matchPatience, nil
}

func (*farDesk) pace() time.Duration { return time.Second }

// settle has nothing to do: the server does.
func (*farDesk) settle(context.Context) error { return nil }

func (d *farDesk) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := d.Close(ctx); err != nil {
		d.log.Debug("the watcher's name is not freed", slog.Any("error", err))
	}
}
