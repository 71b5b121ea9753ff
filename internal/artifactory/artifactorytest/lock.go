package artifactorytest

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// locks keeps those out who failed too often in a row, good credentials or not.
// It runs by the real clock: a server whose clock stands still must not lock for ever.
type locks struct {
	mu  sync.Mutex
	bad map[string]*failures
}

type failures struct {
	count int
	until time.Time
}

// blocked returns the words of the refusal while a lock lasts.
func (l *locks) blocked(key string, sw *Switches) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.bad[key]
	if f == nil {
		return ""
	}
	left := time.Until(f.until)
	if left <= 0 {
		return ""
	}
	return fmt.Sprintf("This request is blocked due to recurrent %s, please try again in %d second(s)",
		sw.LockWords, int(math.Ceil(left.Seconds())))
}

func (l *locks) failed(key string, sw *Switches) {
	if sw.LockAfter <= 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bad == nil {
		l.bad = map[string]*failures{}
	}
	f := l.bad[key]
	if f == nil {
		f = &failures{}
		l.bad[key] = f
	}
	f.count++
	if over := f.count - sw.LockAfter; over >= 0 {
		f.until = time.Now().Add(sw.LockFor * time.Duration(over+1))
	}
}

func (l *locks) succeeded(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.bad, key)
}

// Unlock lifts every login lock.
func (s *Server) Unlock() {
	s.locks.mu.Lock()
	defer s.locks.mu.Unlock()
	s.locks.bad = nil
}

// Lock locks a user out for d, as failures by somebody else would.
func (s *Server) Lock(name string, d time.Duration) {
	s.locks.mu.Lock()
	defer s.locks.mu.Unlock()
	if s.locks.bad == nil {
		s.locks.bad = map[string]*failures{}
	}
	s.locks.bad["user "+name] = &failures{count: 1, until: time.Now().Add(d)}
}
