package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// hookTime keeps an answer within a second: Artifactory waits for it.
const hookTime = 900 * time.Millisecond

// ear listens on one port for webhooks. What they say is kept for every target of
// the port, and only makes its next look happen now.
type ear struct {
	desk    desk
	log     *slog.Logger
	l       net.Listener
	targets []heard
	wake    map[int64]chan<- struct{}
}

// heard is one target of a port.
type heard struct {
	id     int64
	secret string
}

// listenForHooks opens the ports that the targets ask for, each once, to everybody:
// Artifactory is another machine.
func (a *app) listenForHooks(ctx context.Context, d desk, w watching, ids []int64) ([]*ear, error) {
	byPort := map[int]*ear{}
	var ears []*ear
	for i, t := range w.targets {
		if t.port == 0 {
			continue
		}
		e := byPort[t.port]
		if e == nil {
			l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(t.port)))
			if err != nil {
				for _, open := range ears {
					open.l.Close()
				}
				return nil, inventory.Errorf(inventory.ErrConflict, "port=%d: %w", t.port, err).WithRemedy("give another port, or stop what listens there")
			}
			e = &ear{desk: d, log: a.log, l: l, wake: map[int64]chan<- struct{}{}}
			byPort[t.port] = e
			ears = append(ears, e)
			a.say("webhooks are taken on port %d, on any path", t.port)
		}
		e.targets = append(e.targets, heard{ids[i], t.secrets.Webhook})
	}
	return ears, nil
}

// wakes tells whom to wake for a target; it is called before serve.
func (e *ear) wakes(id int64, wake chan<- struct{}) {
	e.wake[id] = wake
}

// serve answers until ctx ends.
func (e *ear) serve(ctx context.Context) error {
	srv := &http.Server{
		Handler: http.HandlerFunc(e.receive), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	stopped := context.AfterFunc(ctx, func() { srv.Close() }) //nolint:errcheck // what is not answered is sent again
	defer stopped()
	if err := srv.Serve(e.l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("listen for webhooks on %s: %w", e.l.Addr(), err)
	}
	return ctx.Err()
}

func (e *ear) receive(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "only webhooks are taken here: POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, artifactory.MostHook))
	if err != nil {
		http.Error(w, "the body is longer than a webhook's, or was cut off", http.StatusRequestEntityTooLarge)
		return
	}
	status, says := e.keep(r, body)
	if says != "" {
		http.Error(w, says, status)
		return
	}
	w.WriteHeader(status)
}

// keep saves what a webhook says before it is answered.
func (e *ear) keep(r *http.Request, body []byte) (status int, says string) {
	ctx, cancel := context.WithTimeout(r.Context(), hookTime)
	defer cancel()
	accepted := false
	for _, t := range e.targets {
		hints, err := readHook(r.Header, body, t.secret)
		switch {
		case errors.Is(err, inventory.ErrUnauthorized):
			continue
		case err != nil:
			return http.StatusBadRequest, err.Error()
		}
		accepted = true
		for _, h := range hints {
			if err := e.desk.AddHint(ctx, t.id, h); err != nil {
				e.log.WarnContext(ctx, "keep a hint", slog.Any("error", err))
				return http.StatusServiceUnavailable, "the hint could not be kept; send it again"
			}
		}
		if wake := e.wake[t.id]; wake != nil && len(hints) > 0 {
			select {
			case wake <- struct{}{}:
			default: // it wakes already
			}
		}
	}
	if !accepted {
		return http.StatusUnauthorized, "the webhook's secret is wrong"
	}
	return http.StatusAccepted, ""
}
