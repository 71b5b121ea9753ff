package artifactorytest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Delivery says how webhooks are brought. The zero value is the product's own:
// 30 s for an answer, five tries ten seconds apart.
type Delivery struct {
	Timeout   time.Duration
	Tries     int
	Wait      time.Duration
	Duplicate int  // every event is sent so many times more
	Drop      int  // so many events are lost, then none
	Hold      bool // events wait for Release
}

// queued is an event with how the server was when it happened.
type queued struct {
	event    Event
	switches Switches
	origin   string
	node     string
}

// hooks is the event service: subscriptions, the queue and its one worker.
type hooks struct {
	mu       sync.Mutex
	subs     map[string]Subscription
	classOf  func(string) Class
	counts   *counter
	delivery Delivery
	queue    []queued
	held     []queued
	busy     int // events taken from the queue and not yet done with, retries included
	wake     chan struct{}
	cancel   context.CancelFunc
	client   *http.Client
	running  sync.WaitGroup
}

func (h *hooks) start() {
	ctx, cancel := context.WithCancel(context.Background())
	h.mu.Lock()
	h.wake = make(chan struct{}, 1)
	h.cancel = cancel
	h.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	h.mu.Unlock()
	h.running.Go(func() { h.work(ctx) })
}

func (h *hooks) stop() {
	h.mu.Lock()
	cancel, client := h.cancel, h.client
	h.mu.Unlock()
	if cancel == nil {
		return
	}
	cancel()
	h.running.Wait()
	client.CloseIdleConnections()
}

// SetDelivery sets how webhooks are brought from now on.
func (s *Server) SetDelivery(d Delivery) {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	s.hooks.delivery = d
}

// Held is the events that wait for Release, in the order they happened.
func (s *Server) Held() []Event {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	out := make([]Event, 0, len(s.hooks.held))
	for _, q := range s.hooks.held {
		out = append(out, q.event)
	}
	return out
}

// Release sends what was held in the order of the indexes given, which may
// leave events out or name them twice; without any, as it happened.
func (s *Server) Release(order ...int) {
	h := &s.hooks
	h.mu.Lock()
	held := h.held
	h.held = nil
	if len(order) == 0 {
		h.queue = append(h.queue, held...)
	}
	for _, i := range order {
		if i >= 0 && i < len(held) {
			h.queue = append(h.queue, held[i])
		}
	}
	h.mu.Unlock()
	h.nudge()
}

// WaitWebhooks waits until every event is delivered or given up.
func (s *Server) WaitWebhooks(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		s.hooks.mu.Lock()
		idle := len(s.hooks.queue) == 0 && s.hooks.busy == 0
		s.hooks.mu.Unlock()
		if idle {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for webhooks: %w", ctx.Err())
		}
	}
}

// SendTest sends what the test button sends, saved or not.
func (s *Server) SendTest(ctx context.Context, sub Subscription) error {
	kind := "pushed"
	if len(sub.EventFilter.EventTypes) > 0 {
		kind = sub.EventFilter.EventTypes[0]
	}
	q := queued{event: sample(sub.EventFilter.Domain, kind), switches: s.snapshot(), origin: s.URL(), node: s.nodeID}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	status, err := s.hooks.send(ctx, &q, &sub)
	if err == nil && status >= http.StatusBadRequest {
		err = fmt.Errorf("the target answered %d", status)
	}
	if err != nil {
		return fmt.Errorf("test webhook %s: %w", sub.Key, err)
	}
	return nil
}

// add queues an event if anybody may want it.
func (h *hooks) add(q queued) {
	h.mu.Lock()
	switch {
	case !q.switches.Webhooks || len(h.subs) == 0 && !h.delivery.Hold:
	case h.delivery.Drop > 0:
		h.delivery.Drop--
	case h.delivery.Hold:
		h.held = append(h.held, q)
	default:
		for range 1 + h.delivery.Duplicate {
			h.queue = append(h.queue, q)
		}
	}
	h.mu.Unlock()
	h.nudge()
}

func (h *hooks) nudge() {
	h.mu.Lock()
	wake := h.wake
	h.mu.Unlock()
	select {
	case wake <- struct{}{}:
	default: // it is awake, or the server was never started
	}
}

// work delivers in order; only retries are overtaken.
func (h *hooks) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		}
		for {
			h.mu.Lock()
			if len(h.queue) == 0 || ctx.Err() != nil {
				h.mu.Unlock()
				break
			}
			q := h.queue[0]
			h.queue = h.queue[1:]
			h.busy++
			subs := slices.Collect(maps.Values(h.subs))
			d := h.delivery
			h.mu.Unlock()
			h.deliver(ctx, q, subs, d)
			h.done()
		}
	}
}

func (h *hooks) done() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy--
}

func (h *hooks) deliver(ctx context.Context, q queued, subs []Subscription, d Delivery) {
	for _, sub := range subs {
		if !sub.wants(&q.event, h.classOf) || h.try(ctx, &q, &sub, d) {
			continue
		}
		h.mu.Lock()
		h.busy++
		h.mu.Unlock()
		h.running.Go(func() {
			defer h.done()
			h.retry(ctx, &q, &sub, d)
		})
	}
}

func (h *hooks) retry(ctx context.Context, q *queued, sub *Subscription, d Delivery) {
	tries, wait := d.Tries, d.Wait
	if tries == 0 {
		tries = 5
	}
	if wait == 0 {
		wait = 10 * time.Second
	}
	for range tries - 1 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if h.try(ctx, q, sub, d) {
			return
		}
	}
}

// try sends once and tells whether that is the end of it: a refusal below 500
// is, and loses the event.
func (h *hooks) try(ctx context.Context, q *queued, sub *Subscription, d Delivery) bool {
	timeout := d.Timeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	status, err := h.send(ctx, q, sub)
	return err == nil && status < http.StatusInternalServerError
}

func (h *hooks) send(ctx context.Context, q *queued, sub *Subscription) (int, error) {
	raw, err := q.body(sub.Key)
	if err != nil {
		return 0, err
	}
	target := sub.Handlers[0]
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.URL, bytes.NewReader(raw))
	if err != nil {
		return 0, fmt.Errorf("send webhook %s: %w", sub.Key, err)
	}
	req.Header.Set("Content-Type", "application/json")
	for _, x := range target.Headers {
		req.Header.Set(x.Name, x.Value)
	}
	if target.Secret != "" {
		req.Header.Set("X-JFrog-Event-Auth", authValue(target, raw))
	}
	h.mu.Lock()
	client := h.client
	h.mu.Unlock()
	if client == nil {
		return 0, fmt.Errorf("send webhook %s: the server was not started", sub.Key)
	}
	res, err := client.Do(req)
	n := Count{Requests: 1, Out: int64(len(raw))}
	if err != nil {
		n.Refused = 1
		h.counts.add(ClassWebhook, n)
		return 0, fmt.Errorf("send webhook %s: %w", sub.Key, err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // only the status counts
	_ = res.Body.Close()
	if res.StatusCode >= http.StatusBadRequest {
		n.Refused = 1
	}
	h.counts.add(ClassWebhook, n)
	return res.StatusCode, nil
}

// authValue is the header of a delivery: the secret, or the signature by it.
func authValue(h Handler, raw []byte) string {
	if !h.Sign {
		return h.Secret
	}
	mac := hmac.New(sha256.New, []byte(h.Secret))
	mac.Write(raw)
	return hex.EncodeToString(mac.Sum(nil))
}

// body wraps an event in the envelope of the server's version.
func (q *queued) body(subscription string) ([]byte, error) {
	e := &q.event
	data := maps.Clone(e.Data)
	var v map[string]any
	switch q.switches.Envelope {
	case EnvelopeUnwrapped:
		data["event_type"] = e.Type
		v = data
	case EnvelopeOld:
		delete(data, "image_type")
		v = map[string]any{"domain": e.Domain, "event_type": e.Type, "data": data}
	default:
		origin := q.origin
		if q.switches.EmptyOrigin {
			origin = ""
		}
		v = map[string]any{
			"domain": e.Domain, "event_type": e.Type, "data": data, "jpd_origin": origin,
			"userContext": map[string]any{"id": e.By, "isToken": false, "realm": "internal"},
		}
	}
	if q.switches.Envelope != EnvelopeUnwrapped {
		v["subscription_key"] = subscription
		v["source"] = "jfrog/jfrt@" + strings.ToLower(q.node)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write the event of %s: %w", e.Path, err)
	}
	return raw, nil
}

func (h *hooks) put(sub Subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs == nil {
		h.subs = map[string]Subscription{}
	}
	h.subs[sub.Key] = sub
}

func (h *hooks) remove(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subs, key)
}

func (h *hooks) get(key string) *Subscription {
	h.mu.Lock()
	defer h.mu.Unlock()
	sub, ok := h.subs[key]
	if !ok {
		return nil
	}
	return &sub
}

func (h *hooks) all() []Subscription {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]Subscription, 0, len(h.subs))
	for _, key := range slices.Sorted(maps.Keys(h.subs)) {
		list = append(list, h.subs[key])
	}
	return list
}
