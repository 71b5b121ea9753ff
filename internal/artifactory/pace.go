package artifactory

import (
	"context"
	"sync"
	"time"
)

// pace holds the bodies of blobs, all of them together, to so many bytes a
// second. A nil pace holds nothing back.
type pace struct {
	perSecond int64

	mu   sync.Mutex
	next time.Time // when the bytes that were read so far are paid for
}

func newPace(perSecond int64) *pace {
	if perSecond <= 0 {
		return nil
	}
	return &pace{perSecond: perSecond}
}

// piece shortens what is read at a time, so that slow is even and not by fits.
func (p *pace) piece(b []byte) []byte {
	if p == nil {
		return b
	}
	const most = 32 << 10
	return b[:min(len(b), most, int(max(p.perSecond/4, 1)))]
}

// spend waits until n bytes are paid for. A reader that nobody waits for any
// more does not wait.
func (p *pace) spend(ctx context.Context, n int) {
	if p == nil {
		return
	}
	cost := time.Duration(int64(n) * int64(time.Second) / p.perSecond)
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(cost)
	wait := p.next.Sub(now)
	p.mu.Unlock()
	_ = sleep(ctx, wait) // the next Read says why it ended
}
