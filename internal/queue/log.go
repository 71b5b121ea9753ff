package queue

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// sayAgain is how long River's same complaint is not repeated: while a database cannot
// be written it complains many times a second.
const sayAgain = 30 * time.Second

// quietLogger drops what River says below an error (it reports every job and every
// minute), and repetitions.
func quietLogger(log *slog.Logger) *slog.Logger {
	return slog.New(quiet{log.Handler(), &said{last: map[string]time.Time{}}})
}

type quiet struct {
	slog.Handler
	said *said
}

type said struct {
	mu   sync.Mutex
	last map[string]time.Time // by message; guarded by mu
}

func (h quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level > slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

func (h quiet) Handle(ctx context.Context, r slog.Record) error {
	h.said.mu.Lock()
	last, again := h.said.last[r.Message]
	again = again && r.Time.Sub(last) < sayAgain
	if !again {
		h.said.last[r.Message] = r.Time
	}
	h.said.mu.Unlock()
	if again {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quiet{h.Handler.WithAttrs(attrs), h.said}
}

func (h quiet) WithGroup(name string) slog.Handler {
	return quiet{h.Handler.WithGroup(name), h.said}
}
