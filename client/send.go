package client

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const (
	firstPause = 250 * time.Millisecond
	mostPause  = 30 * time.Second
	// brokenTries is how often a call is made that the server itself fails at.
	brokenTries = 4
	// answerTime is how long the server may take for one call.
	answerTime = 10 * time.Minute
	// packFrom is from how many bytes a body is worth compressing.
	packFrom = 512
)

// send sends a body and reads the answer.
func send[T any](ctx context.Context, w *Watcher, method, path string, body any) (v T, err error) {
	err = w.insist(ctx, method, path, body, func(res *http.Response) error { return decode(res.Body, path, &v) })
	return v, err
}

// tell sends a body and wants no answer.
func (w *Watcher) tell(ctx context.Context, method, path string, body any) error {
	return w.insist(ctx, method, path, body, func(*http.Response) error { return nil })
}

// fetch reads one value.
func fetch[T any](ctx context.Context, w *Watcher, path string) (v T, err error) {
	err = w.insist(ctx, http.MethodGet, path, nil, func(res *http.Response) error {
		v = *new(T)
		return decode(res.Body, path, &v)
	})
	return v, err
}

// fetchLines reads values one a line.
func fetchLines[T any](ctx context.Context, w *Watcher, path string) (all []T, err error) {
	err = w.insist(ctx, http.MethodGet, path, nil, func(res *http.Response) error {
		all = []T{}
		for v, err := range lines[T](res.Body, path) {
			if err != nil {
				return err
			}
			all = append(all, v)
		}
		return nil
	})
	return all, err
}

// insist makes a call again and again while the server cannot be reached, pausing longer
// each time, and each time a random part of it: many watchers do not come back at once.
func (w *Watcher) insist(ctx context.Context, method, path string, body any, read func(*http.Response) error) error {
	packed, err := w.pack(method, path, body)
	if err != nil {
		return err
	}
	began, broken := time.Now(), 0
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		err := w.once(ctx, method, path, packed, read)
		w.reached(ctx, err)
		if err == nil || ctx.Err() != nil || !errors.Is(err, ErrUnavailable) {
			return err
		}
		if errors.Is(err, errBroken) {
			broken++
		}
		if broken >= brokenTries || w.opts.Patience > 0 && time.Since(began) > w.opts.Patience {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s %s: %w", method, path, context.Cause(ctx))
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// reached says once that the server cannot be reached, and once that it can again.
func (w *Watcher) reached(ctx context.Context, err error) {
	down := errors.Is(err, ErrUnavailable) && ctx.Err() == nil
	if err != nil && !down && ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	was := w.down
	w.down = down
	w.mu.Unlock()
	switch {
	case down && !was:
		w.log.WarnContext(ctx, "the server does not take it; it is sent again until it does", slog.Any("error", err))
	case was && !down:
		w.log.InfoContext(ctx, "the server answers again")
	}
}

// packed is a body on its way.
type packed struct {
	body     []byte
	encoding string
}

func (w *Watcher) pack(method, path string, body any) (*packed, error) {
	if body == nil {
		return nil, nil
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode the request to %s: %w", path, err)
	}
	if w.opts.Sent != nil {
		w.opts.Sent(method, path, raw)
	}
	if len(raw) > inventory.FarBodyUnpacked {
		return nil, inventory.Errorf(inventory.ErrInvalid, "what was found has %d bytes; a server takes up to %d at once", len(raw), inventory.FarBodyUnpacked)
	}
	if len(raw) < packFrom {
		return &packed{body: raw}, nil
	}
	var out bytes.Buffer
	zw, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err == nil {
		_, err = zw.Write(raw)
	}
	if err == nil {
		err = zw.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("compress the request to %s: %w", path, err)
	}
	return &packed{out.Bytes(), "gzip"}, nil
}

// errBroken marks the errors of a server that was reached and failed.
var errBroken = errors.New("the server failed")

func (w *Watcher) once(ctx context.Context, method, path string, p *packed, read func(*http.Response) error) error {
	inner, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	res, err := w.request(inner, method, path, p)
	if err != nil {
		if ctx.Err() == nil && inner.Err() != nil {
			return inventory.Errorf(ErrUnavailable, "the server took longer than %s to answer %s", answerTime, path)
		}
		return err
	}
	defer res.Body.Close()
	if err := read(res); err != nil {
		var told *inventory.Error
		if errors.As(err, &told) && ctx.Err() == nil {
			return &inventory.Error{Kind: told.Kind, Msg: told.Msg, Remedy: told.Remedy, Err: errBroken}
		}
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // the connection is used again
	return nil
}

func (w *Watcher) request(ctx context.Context, method, path string, p *packed) (*http.Response, error) {
	var body io.Reader
	header := http.Header{inventory.IngestHeader: {inventory.IngestProtocol}, inventory.HolderHeader: {w.opts.Holder}}
	if p != nil {
		body = bytes.NewReader(p.body)
		header.Set("Content-Type", "application/json")
		if p.encoding != "" {
			header.Set("Content-Encoding", p.encoding)
		}
	}
	return w.c.request(ctx, method, path, body, header)
}
