package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/tallyman-dev/tallyman/internal/advisory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/match"
)

// sink brings what feeds hold into the ledger: advisories through the matcher, which
// re-evaluates only the packages they name.
type sink struct {
	*match.Feed
	p *platform
}

// KEV implements advisory.Sink.
func (s sink) KEV(ctx context.Context, entries []inventory.KEV) error {
	return s.p.store.SaveKEV(ctx, entries)
}

// EPSS implements advisory.Sink.
func (s sink) EPSS(ctx context.Context, scores []inventory.EPSS) error {
	return s.p.store.SaveEPSS(ctx, scores)
}

// importFile imports a file or directory; its content says what it is. What could not
// be taken is named in the log, the rest is in.
func (p *platform) importFile(ctx context.Context, path string) error {
	return p.importAs(ctx, path, filepath.Base(path), nil)
}

// importUpload imports a file whose name says nothing.
func (p *platform) importUpload(ctx context.Context, path string) error {
	return p.importAs(ctx, path, "upload", nil)
}

// importAs imports under a name, and only what key signed if there is one.
func (p *platform) importAs(ctx context.Context, path, name string, key ed25519.PublicKey) error {
	feed := p.matcher.Feed()
	result, err := advisory.ImportSigned(ctx, path, key, sink{feed, p})
	// What was saved before a failure counts too.
	change, finished := feed.Finish(ctx)
	if err := errors.Join(err, finished); err != nil {
		return err
	}
	for _, problem := range result.Problems {
		p.log.WarnContext(ctx, "advisory not taken", slog.String("name", problem.Name), slog.String("problem", problem.Problem))
	}
	p.log.InfoContext(ctx, "advisories imported", slog.String("from", name), slog.Int("records", result.Records),
		slog.Int("packages_matched", change.Packages), slog.Int("malformed", result.Malformed), slog.Int("kev", result.KEV), slog.Int("epss", result.EPSS))
	// A bundle is as fresh as it was where it was made.
	for _, f := range result.Feeds {
		if err := p.store.AdvisoriesSynced(ctx, f.Name, earlier(f.Synced, time.Now())); err != nil {
			return err
		}
	}
	if len(result.Feeds) > 0 {
		return nil
	}
	return p.store.AdvisoriesSynced(ctx, name, time.Now())
}

// earlier keeps a clock that was ahead from making advisories young for ever.
func earlier(a, b time.Time) time.Time {
	if a.After(b) {
		return b
	}
	return a
}
