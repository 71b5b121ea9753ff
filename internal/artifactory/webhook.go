package artifactory

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// HookHeader carries the webhook's secret, or the signature made with it.
const HookHeader = "X-JFrog-Event-Auth"

// MostHook is how long a webhook's body may be.
const MostHook = 1 << 20

// VerifyHook says whether a webhook was sent by who knows the secret: header is
// the secret itself, or the HMAC-SHA256 of the body in hex, with or without
// "sha256=". Without a secret nothing is accepted.
func VerifyHook(secret, header string, body []byte) bool {
	header = strings.TrimSpace(header)
	if secret == "" || header == "" {
		return false
	}
	plain := equal(header, secret)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	signature := strings.ToLower(strings.TrimPrefix(header, "sha256="))
	return equal(signature, hex.EncodeToString(mac.Sum(nil))) || plain
}

// equal compares in a time that does not depend on the values.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// hookData is the part of an event that says where something happened. Events
// come in an envelope, or bare; old versions send fewer fields.
type hookData struct {
	Domain     string   `json:"domain"`
	EventType  string   `json:"event_type"`
	RepoKey    string   `json:"repo_key"`
	Path       string   `json:"path"`
	ImageName  string   `json:"image_name"`
	Tag        string   `json:"tag"`
	TargetRepo string   `json:"target_repo"`
	TargetTag  string   `json:"target_tag"`
	SourcePath string   `json:"source_repo_path"`
	TargetPath string   `json:"target_repo_path"`
	Data       *hookBox `json:"data"`
}

// hookBox keeps the recursion of an event in an event to one level.
type hookBox struct{ json.RawMessage }

// UnmarshalJSON keeps the bytes.
func (b *hookBox) UnmarshalJSON(raw []byte) error {
	b.RawMessage = append(b.RawMessage[:0], raw...)
	return nil
}

// ParseHook reads the body of a webhook: the places that are worth a look. A
// body that is well-formed and names no tag (a test, a layer, a sub-manifest, an
// event that we do not know) gives no hint and no error.
func ParseHook(body []byte) ([]inventory.Hint, error) {
	if len(body) > MostHook {
		return nil, inventory.Errorf(inventory.ErrInvalid, "the webhook's body is longer than %d bytes", MostHook)
	}
	if t := bytes.TrimSpace(body); len(t) == 0 || t[0] != '{' {
		return nil, inventory.Errorf(inventory.ErrInvalid, "the webhook's body is not a JSON object")
	}
	var ev hookData
	if err := lenient(json.Unmarshal(body, &ev)); err != nil {
		return nil, inventory.Errorf(inventory.ErrInvalid, "the webhook's body cannot be read: %w", err)
	}
	if ev.Data != nil && bytes.HasPrefix(bytes.TrimSpace(ev.Data.RawMessage), []byte("{")) {
		inner := hookData{Domain: ev.Domain, EventType: ev.EventType}
		if err := lenient(json.Unmarshal(ev.Data.RawMessage, &inner)); err != nil {
			return nil, inventory.Errorf(inventory.ErrInvalid, "the webhook's data cannot be read: %w", err)
		}
		ev = inner
	}
	return ev.hints(), nil
}

// lenient lets pass a field that is of another type than we know: who sends it
// would not send it again, and the poll finds what it meant.
func lenient(err error) error {
	var other *json.UnmarshalTypeError
	if errors.As(err, &other) {
		return nil
	}
	return err
}

func (ev hookData) hints() []inventory.Hint {
	var hints []inventory.Hint
	add := func(h inventory.Hint, ok bool) {
		if ok && h.Key != "" && h.Image != "" && isTag(h.Tag) && !wild(h) && !slices.Contains(hints, h) {
			hints = append(hints, h)
		}
	}
	image, tag := ev.ImageName, ev.Tag
	if image == "" || tag == "" {
		if h, ok := hintOf(ev.RepoKey, ev.Path); ok {
			image, tag = h.Image, h.Tag
		}
	}
	add(inventory.Hint{Key: ev.RepoKey, Image: image, Tag: tag}, true)
	if ev.TargetRepo != "" {
		target := tag
		if ev.TargetTag != "" {
			target = ev.TargetTag
		}
		add(inventory.Hint{Key: ev.TargetRepo, Image: image, Tag: target}, true)
	}
	for _, p := range []string{ev.SourcePath, ev.TargetPath} {
		p = strings.TrimPrefix(p, "/")
		if at := strings.IndexAny(p, ":/"); at > 0 {
			add(hintOf(p[:at], p[at+1:]))
		}
	}
	return hints
}

// hintOf reads "team/app/1.0/manifest.json" (a file) or "team/app/1.0" (a folder
// that was moved or copied).
func hintOf(key, p string) (inventory.Hint, bool) {
	p = strings.Trim(p, "/")
	switch base := path.Base(p); {
	case base == "manifest.json", base == "list.manifest.json":
		p = path.Dir(p)
	case strings.HasPrefix(base, "sha256__"):
		return inventory.Hint{}, false // a layer
	}
	image, tag := path.Split(p)
	return inventory.Hint{Key: key, Image: strings.TrimSuffix(image, "/"), Tag: tag}, image != ""
}

// wild says whether a hint holds what a query would take for a pattern, or more
// than a name can be.
func wild(h inventory.Hint) bool {
	const most = 1024
	all := h.Key + h.Image + h.Tag
	return len(all) > most || strings.ContainsAny(all, "*?\"\\") || inventory.Printable(all) != all
}
