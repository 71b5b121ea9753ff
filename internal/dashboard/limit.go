package dashboard

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Tries to sign in: some at once, then one each so often. Those of one address may be a
// whole office behind one router; those of one account are one person.
const (
	addressTries = 20
	addressEvery = 3 * time.Second
	accountTries = 5
	accountEvery = 20 * time.Second
	mostLimits   = 10_000
)

// limits keeps whoever guesses passwords waiting.
type limits struct {
	mu       sync.Mutex
	address  map[string]*rate.Limiter
	accounts map[string]*rate.Limiter
}

func newLimits() *limits {
	return &limits{address: map[string]*rate.Limiter{}, accounts: map[string]*rate.Limiter{}}
}

// wait is how long a try to sign in has to wait; 0 = it may go on, and counts.
func (l *limits) wait(address, account string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	place := limiter(l.address, network(address), addressEvery, addressTries)
	person := limiter(l.accounts, account, accountEvery, accountTries)
	first, second := place.ReserveN(now, 1), person.ReserveN(now, 1)
	if delay := max(first.DelayFrom(now), second.DelayFrom(now)); delay > 0 {
		first.CancelAt(now)
		second.CancelAt(now)
		return delay
	}
	return 0
}

func limiter(all map[string]*rate.Limiter, key string, every time.Duration, tries int) *rate.Limiter {
	if found, ok := all[key]; ok {
		return found
	}
	if len(all) >= mostLimits {
		for other := range all { // any: to be forgotten takes more requests than it saves
			delete(all, other)
			break
		}
	}
	fresh := rate.NewLimiter(rate.Every(every), tries)
	all[key] = fresh
	return fresh
}

// network is an IPv4 address, or the /64 of an IPv6 one: whoever has one of its addresses
// has all.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return ""
	}
	return p.String()
}
