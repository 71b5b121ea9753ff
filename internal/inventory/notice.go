package inventory

import "time"

// Kinds of channel.
const (
	ChannelSlack   = "slack"   // a Slack incoming webhook
	ChannelWebhook = "webhook" // any HTTP receiver; signed JSON
	ChannelMail    = "mail"    // SMTP
)

// What a rule can ask to be told of.
const (
	NewsNew               = "new"                // a flaw that the fleet did not have: an advisory, or a push
	NewsFixable           = "fixable"            // a flaw has a fix now
	NewsKEV               = "kev"                // a flaw is known to be exploited now
	NewsWithdrawn         = "withdrawn"          // an advisory no longer stands
	NewsSeverity          = "severity"           // a flaw is rated differently now
	NewsImageFailed       = "image_failed"       // an image could not be analysed
	NewsIntegrationBroken = "integration_broken" // an integration cannot read (all of) its registry
	NewsFeedStale         = "feed_stale"         // advisories are old
	NewsWatch             = "watch"              // a later image has what a saved question to who-has asks for
	NewsTest              = "test"               // somebody pressed the button; no rule asks for it
)

// NewsKinds are the kinds that a rule can name, in the order they are shown.
var NewsKinds = [...]string{
	NewsNew, NewsFixable, NewsKEV, NewsWithdrawn, NewsSeverity, NewsImageFailed, NewsIntegrationBroken, NewsFeedStale,
	NewsWatch,
}

// Rule says what a channel is told.
type Rule struct {
	Events     []string `json:"events"`               // kinds of news
	Repository string   `json:"repository,omitempty"` // glob on KEY/image; empty = everywhere
	Severity   string   `json:"severity,omitempty"`   // the least that counts; empty = high
}

// Mail is how a mail channel sends. The password is the channel's secret.
type Mail struct {
	Server   string   `json:"server"` // HOST:PORT
	Username string   `json:"username,omitempty"`
	From     string   `json:"from"`
	To       []string `json:"to"`
	// Plain allows a server without STARTTLS. A password is never sent to one.
	Plain bool `json:"plain,omitempty"`
}

// Channel is somewhere that news goes. Its address and its secret are never in it.
type Channel struct {
	ID        int64      `json:"-"`
	Name      string     `json:"name"`
	Kind      string     `json:"kind"`
	Host      string     `json:"host"` // where it leads; the rest of the address is a secret
	HasSecret bool       `json:"has_secret"`
	Mail      *Mail      `json:"mail,omitempty"`
	Rules     []Rule     `json:"rules"`
	Created   time.Time  `json:"created"`
	Sent      int        `json:"sent"`
	Waiting   int        `json:"waiting"`
	Dead      int        `json:"dead"` // given up; replay sends them again
	LastSent  *time.Time `json:"last_sent,omitempty"`
	Problem   string     `json:"problem,omitempty"` // of the last attempt, when it failed
}

// ChannelChange is what somebody types about a channel. On a change a blank URL or
// secret keeps the one that is saved.
type ChannelChange struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	URL    string `json:"url,omitempty"`    // of a Slack or generic webhook
	Secret string `json:"secret,omitempty"` // what a webhook is signed with; the password of a mail account
	Mail   *Mail  `json:"mail,omitempty"`
	Rules  []Rule `json:"rules"`
}

// ChannelSecrets is what sending needs and nobody may see again.
type ChannelSecrets struct {
	URL    string
	Secret string
}

// News is an event that somebody may want to be told of.
type News struct {
	ID          int64
	Kind        string
	At          time.Time
	Integration int64
	Digest      string // of an image that was pushed, or failed
	Flaw        string
	PURL        string
	Severity    string
	Was         string // severity before
	Reference   string
	Problem     string
	Remedy      string
	Watch       string // name of a saved question
	Query       string // what it asks
}

// NoticeFlaw is a flaw in a message.
type NoticeFlaw struct {
	ID       string   `json:"id"`
	Severity string   `json:"severity"`
	Was      string   `json:"was,omitempty"` // severity before
	Summary  string   `json:"summary,omitempty"`
	Packages []string `json:"packages"` // "openssl 3.0.11"
	Fixed    []string `json:"fixed_versions"`
	KEV      bool     `json:"kev"`
	EPSS     float64  `json:"epss,omitempty"`
}

// Notice is one message, as a webhook receives it. Its id is the same on every attempt.
type Notice struct {
	ID         string       `json:"id"`
	Event      string       `json:"event"`
	At         time.Time    `json:"at"`
	Title      string       `json:"title"`
	Severity   string       `json:"severity,omitempty"` // the worst of its findings
	Images     int          `json:"images"`             // how many it concerns
	References []string     `json:"references"`         // the first of them
	Findings   []NoticeFlaw `json:"findings"`
	More       int          `json:"more_findings,omitempty"` // that are not listed
	Problem    string       `json:"problem,omitempty"`
	Remedy     string       `json:"remedy,omitempty"`
}

// Draft is a notice on its way into the outbox. Its subjects are told to its channel
// once: a draft of nothing but known subjects is dropped.
type Draft struct {
	Channel  int64
	Subjects []string
	Notice   Notice
}

// States of a delivery.
const (
	DeliveryWaiting = "waiting"
	DeliverySent    = "sent"
	DeliveryDead    = "dead"
)

// Delivery is one message to one channel, and how it fared.
type Delivery struct {
	Channel   string     `json:"channel"`
	ChannelID int64      `json:"-"`
	State     string     `json:"state"`
	Attempts  int        `json:"attempts"`
	Problem   string     `json:"problem,omitempty"`
	Receipt   string     `json:"receipt,omitempty"` // what the receiver said when it took it
	Sent      *time.Time `json:"sent,omitempty"`
	Notice    Notice     `json:"message"`
}

// DeliveryFilter narrows a list of deliveries.
type DeliveryFilter struct {
	ID      string `json:"id,omitempty"` // of one message
	Channel string `json:"channel,omitempty"`
	State   string `json:"state,omitempty"`
	Limit   int    `json:"-"` // of a list; 0 = 100, at most 1000
}

// Spread is how far a flaw reaches in what a rule looks at.
type Spread struct {
	Images     int
	References []string // the newest few
}

// Arrival is what an image brought when it was first analysed.
type Arrival struct {
	Digest string
	Places []ArrivalPlace
	Flaws  []NoticeFlaw // by severity, then id
}

// ArrivalPlace is a repository that the image is new in.
type ArrivalPlace struct {
	Repository string // KEY/image
	Reference  string
	Had        map[string]bool // flaws that the repository had before
}

// NoticePreview is what a channel would be sent.
type NoticePreview struct {
	ContentType string `json:"content_type"`
	Body        string `json:"body"`
}

// Replayed tells how many messages were put back to be sent.
type Replayed struct {
	Messages int `json:"messages"`
}

// NoticeTest is what came of a test message.
type NoticeTest struct {
	OK      bool   `json:"ok"`
	ID      string `json:"id"` // of the message, as the receiver saw it
	Receipt string `json:"receipt,omitempty"`
	Error   string `json:"error,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
}
