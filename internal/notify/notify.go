package notify

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Store is what the stage needs of the ledger.
type Store interface {
	News(ctx context.Context, settled bool, limit int) ([]inventory.News, error)
	Settled(ctx context.Context) (bool, error)
	Channels(ctx context.Context) ([]inventory.Channel, error)
	Channel(ctx context.Context, name string) (inventory.Channel, error)
	ChannelSecrets(ctx context.Context, id int64) (inventory.ChannelSecrets, error)
	Told(ctx context.Context, channel int64, subjects []string) (map[string]bool, error)
	Arrival(ctx context.Context, digest string) (inventory.Arrival, error)
	ImagePlaces(ctx context.Context, digest string) ([]inventory.ArrivalPlace, error)
	Flaws(ctx context.Context, ids []string) (map[string]inventory.NoticeFlaw, error)
	Spread(ctx context.Context, flaws, purls []string, within func(repository string) bool) (inventory.Spread, error)
	SaveNotices(ctx context.Context, events []int64, drafts []inventory.Draft) error
	Delivery(ctx context.Context, id string) (inventory.Delivery, inventory.Channel, error)
	DeliverySent(ctx context.Context, id, receipt string) error
	DeliveryFailed(ctx context.Context, id, problem string, dead bool) error
}

const (
	// sendTime bounds one request to a receiver.
	sendTime = 15 * time.Second
	// patience is how long news of a swarm waits for matching to settle.
	patience = 2 * time.Minute
	// recheck is when it is looked at again meanwhile.
	recheck = 3 * time.Second
	// mostNews is how many events of a swarm become messages together.
	mostNews = 20000
)

// Options are what else a Notifier needs.
type Options struct {
	// Client makes the requests; NewClient makes one that keeps to the rules.
	Client *http.Client
	// Roots are the authorities that mail servers are checked against; nil = the system's.
	Roots *x509.CertPool
	Now   func() time.Time
	Log   *slog.Logger
}

// Notifier makes messages of news and sends them.
type Notifier struct {
	store  Store
	client *http.Client
	roots  *x509.CertPool
	now    func() time.Time
	log    *slog.Logger
}

// New makes a notifier over the ledger.
func New(store Store, o Options) *Notifier {
	n := &Notifier{store: store, roots: o.Roots, now: o.Now, log: o.Log}
	if n.now == nil {
		n.now = time.Now
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	client := http.Client{}
	if o.Client != nil {
		client = *o.Client
	}
	// Where a receiver points to was not what somebody typed.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	n.client = &client
	return n
}

// Collect makes messages of the events that wait: of those that come in swarms, once
// they have settled, or of the others. It says when to come again for what has not
// settled yet; 0 = there is no need.
func (n *Notifier) Collect(ctx context.Context, settled bool) (again time.Duration, err error) {
	news, err := n.store.News(ctx, settled, mostNews)
	if err != nil || len(news) == 0 {
		return 0, err
	}
	if settled {
		ok, err := n.store.Settled(ctx)
		if err != nil {
			return 0, err
		}
		if !ok && n.now().Sub(news[0].At) < patience {
			return recheck, nil
		}
	}
	channels, err := n.store.Channels(ctx)
	if err != nil {
		return 0, err
	}
	var drafts []inventory.Draft
	for _, ch := range channels {
		c := composer{store: n.store, channel: ch, now: n.now().UTC()}
		made, err := c.compose(ctx, news)
		if err != nil {
			return 0, fmt.Errorf("make messages for channel %s: %w", ch.Name, err)
		}
		drafts = append(drafts, made...)
	}
	ids := make([]int64, len(news))
	for i, one := range news {
		ids[i] = one.ID
	}
	if err := n.store.SaveNotices(ctx, ids, drafts); err != nil {
		return 0, err
	}
	if len(news) == mostNews {
		again = time.Millisecond
	}
	return again, nil
}

// Send sends one message, unless it was sent or given up already, and records what came
// of it. An error of kind ErrUnavailable is worth another attempt.
func (n *Notifier) Send(ctx context.Context, id string) error {
	d, ch, err := n.store.Delivery(ctx, id)
	if errors.Is(err, inventory.ErrNotFound) {
		return nil // the channel was removed
	}
	if err != nil || d.State != inventory.DeliveryWaiting {
		return err
	}
	secrets, err := n.store.ChannelSecrets(ctx, ch.ID)
	if err != nil {
		return err
	}
	receipt, err := n.deliver(ctx, ch, secrets, d.Notice)
	// The end of this process must not undo what the receiver has.
	record := context.WithoutCancel(ctx)
	if err == nil {
		return n.store.DeliverySent(record, id, receipt)
	}
	if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
		err = errors.Join(err, n.store.DeliveryFailed(record, id, problemOf(err), false))
	}
	return err
}

// GiveUp records that a message will not be tried again by itself.
func (n *Notifier) GiveUp(ctx context.Context, id string, cause error) error {
	n.log.WarnContext(ctx, "message given up", slog.String("message", id), slog.String("problem", problemOf(cause)))
	return n.store.DeliveryFailed(ctx, id, problemOf(cause), true)
}

// TestChannel sends a message that says it is a test, and waits for the answer.
func (n *Notifier) TestChannel(ctx context.Context, name string) (inventory.NoticeTest, error) {
	ch, err := n.store.Channel(ctx, name)
	if err != nil {
		return inventory.NoticeTest{}, err
	}
	secrets, err := n.store.ChannelSecrets(ctx, ch.ID)
	if err != nil {
		return inventory.NoticeTest{}, err
	}
	notice := sample(inventory.NewsTest, n.now().UTC())
	receipt, err := n.deliver(ctx, ch, secrets, notice)
	res := inventory.NoticeTest{OK: err == nil, ID: notice.ID, Receipt: receipt}
	if err != nil {
		res.Error = problemOf(err)
		var told *inventory.Error
		if errors.As(err, &told) {
			res.Error, res.Remedy = told.Msg, told.Remedy
		}
	}
	return res, ctx.Err()
}

// Preview is what a channel would be sent for a made-up piece of news of a kind.
func (n *Notifier) Preview(ctx context.Context, name, kind string) (inventory.NoticePreview, error) {
	ch, err := n.store.Channel(ctx, name)
	if err != nil {
		return inventory.NoticePreview{}, err
	}
	return preview(ch, sample(kind, n.now().UTC()))
}

func preview(ch inventory.Channel, notice inventory.Notice) (inventory.NoticePreview, error) {
	contentType, body, err := render(ch, notice)
	return inventory.NoticePreview{ContentType: contentType, Body: string(body)}, err
}

// problemOf is an error as people read it beside a message: one line, no secrets. All
// errors of senders are made so.
func problemOf(err error) string {
	var told *inventory.Error
	if errors.As(err, &told) {
		return short(inventory.Printable(told.Error()), 300)
	}
	return short(inventory.Printable(err.Error()), 300)
}

func newID() string { return "evt_" + rand.Text() }
