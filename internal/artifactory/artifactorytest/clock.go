package artifactorytest

import (
	"sync"
	"time"
)

// clock is the server's own, so that it may be wrong, or stand still.
type clock struct {
	mu     sync.Mutex
	skew   time.Duration
	frozen time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.frozen.IsZero() {
		return c.frozen
	}
	return time.Now().Add(c.skew)
}

// Now is the server's time.
func (s *Server) Now() time.Time { return s.clock.now() }

// Skew sets how far the server's clock is ahead of the real one, and lets it run.
func (s *Server) Skew(d time.Duration) {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	s.clock.skew, s.clock.frozen = d, time.Time{}
}

// SetClock stops the server's clock at t.
func (s *Server) SetClock(t time.Time) {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	s.clock.frozen = t
}

// Advance moves the server's clock, running or stopped, by d.
func (s *Server) Advance(d time.Duration) {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	if s.clock.frozen.IsZero() {
		s.clock.skew += d
		return
	}
	s.clock.frozen = s.clock.frozen.Add(d)
}

// stamp writes a time as Artifactory does, with the offset of its zone.
func stamp(ms int64, zone *time.Location) string {
	return time.UnixMilli(ms).In(zone).Format(stampLayout)
}

const stampLayout = "2006-01-02T15:04:05.000Z07:00"
