package client

import (
	"container/list"
	"sync"
)

// keptBodies bounds the layer records that a watcher keeps, in bytes: the images of one
// base are indexed side by side, and would each fetch its records again.
const keptBodies = 32 << 20

// bodies are the layer records that were used last.
type bodies struct {
	mu   sync.Mutex
	by   map[string]*list.Element
	last *list.List // the one used last in front
	size int
}

type keptBody struct {
	diffID string
	body   []byte
}

func (b *bodies) get(diffID string) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.by[diffID]
	if e == nil {
		return nil
	}
	b.last.MoveToFront(e)
	return e.Value.(keptBody).body
}

func (b *bodies) put(diffID string, body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.by == nil {
		b.by, b.last = map[string]*list.Element{}, list.New()
	}
	if b.by[diffID] != nil || len(body) > keptBodies/4 {
		return
	}
	b.by[diffID] = b.last.PushFront(keptBody{diffID, body})
	for b.size += len(body); b.size > keptBodies; {
		oldest := b.last.Remove(b.last.Back()).(keptBody)
		delete(b.by, oldest.diffID)
		b.size -= len(oldest.body)
	}
}

// forget drops all of them: the server has others.
func (b *bodies) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.by, b.last, b.size = nil, nil, 0
}
