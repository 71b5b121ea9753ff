// Package seal keeps credentials unreadable at rest: XChaCha20-Poly1305 under a
// key from a file or the environment. In goes a secret and what it is for, out
// comes an opaque box that opens only with the same key and the same purpose.
//
// It knows nothing of databases or integrations and must never log, print or
// put into an error any key, secret or box.
package seal

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// A box is: version, key id, nonce, ciphertext with its tag.
const (
	version  = 1
	idSize   = 8
	overhead = 1 + idSize + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
)

// Key is a ring of keys: the current one, which seals, and older ones, which
// still open what they sealed. The zero Key seals and opens nothing.
type Key struct{ ring []secretKey }

type secretKey struct {
	id  [idSize]byte
	key [chacha20poly1305.KeySize]byte
}

// NewKey returns a ring of one fresh random key.
func NewKey() (Key, error) {
	var k secretKey
	if _, err := rand.Read(k.key[:]); err != nil {
		return Key{}, fmt.Errorf("make a sealing key: %w", err)
	}
	k.id = keyID(k.key)
	return Key{ring: []secretKey{k}}, nil
}

// ParseKey reads a ring from text: 32 bytes in base64 a key, separated by commas
// or white space; the first is the current one. Lines that begin with # are skipped.
func ParseKey(text string) (Key, error) {
	var ring Key
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		fields := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })
		for _, field := range fields {
			raw, err := decode(field)
			if err != nil {
				// The text is a secret: say which key, never what it looks like.
				return Key{}, inventory.Errorf(inventory.ErrInvalid, "sealing key %d is not 32 bytes in base64", len(ring.ring)+1).
					WithRemedy("make one with: openssl rand -base64 32")
			}
			k := secretKey{key: raw}
			k.id = keyID(raw)
			ring.ring = append(ring.ring, k)
		}
	}
	if len(ring.ring) == 0 {
		return Key{}, inventory.Errorf(inventory.ErrInvalid, "the sealing key is empty").
			WithRemedy("make one with: openssl rand -base64 32")
	}
	return ring, nil
}

func decode(field string) (key [chacha20poly1305.KeySize]byte, err error) {
	enc := base64.RawStdEncoding
	if strings.ContainsAny(field, "-_") {
		enc = base64.RawURLEncoding
	}
	raw, err := enc.DecodeString(strings.TrimRight(field, "="))
	if err != nil || len(raw) != len(key) {
		return key, inventory.ErrInvalid
	}
	return [chacha20poly1305.KeySize]byte(raw), nil
}

// keyID names a key without telling anything about it.
func keyID(key [chacha20poly1305.KeySize]byte) [idSize]byte {
	sum := sha256.Sum256(append([]byte("tallyman sealing key id\x00"), key[:]...))
	return [idSize]byte(sum[:idSize])
}

// Seal boxes secret with the current key. The box opens only for the same purpose,
// so that a box copied to another row or column stays shut.
func (k Key) Seal(secret []byte, purpose string) ([]byte, error) {
	if len(k.ring) == 0 {
		return nil, errNoKey(purpose)
	}
	current := k.ring[0]
	aead, err := chacha20poly1305.NewX(current.key[:])
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", purpose, err)
	}
	box := make([]byte, 0, overhead+len(secret))
	box = append(box, version)
	box = append(box, current.id[:]...)
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("seal %s: %w", purpose, err)
	}
	box = append(box, nonce...)
	return aead.Seal(box, nonce, secret, additional(box[:1+idSize], purpose)), nil
}

// Open returns what Seal was given. It is ErrForbidden when no key of the ring made
// the box or it was made for another purpose.
func (k Key) Open(box []byte, purpose string) ([]byte, error) {
	if len(k.ring) == 0 {
		return nil, errNoKey(purpose)
	}
	if len(box) < overhead || box[0] != version {
		return nil, inventory.Errorf(inventory.ErrInvalid, "the sealed %s is damaged", purpose).
			WithRemedy("enter the secret again")
	}
	for _, key := range k.ring {
		if !bytes.Equal(key.id[:], box[1:1+idSize]) {
			continue
		}
		aead, err := chacha20poly1305.NewX(key.key[:])
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", purpose, err)
		}
		body := box[1+idSize:]
		secret, err := aead.Open(nil, body[:chacha20poly1305.NonceSizeX], body[chacha20poly1305.NonceSizeX:], additional(box[:1+idSize], purpose))
		if err != nil {
			return nil, inventory.Errorf(inventory.ErrForbidden, "the sealed %s was changed, or sealed for something else", purpose).
				WithRemedy("enter the secret again")
		}
		return secret, nil
	}
	return nil, inventory.Errorf(inventory.ErrForbidden, "the sealed %s was made with a key that is not here", purpose).
		WithRemedy("bring back the key it was sealed with, or enter the secret again")
}

// Stale says that box was made by an older key than the current one: opening and
// sealing it again lets the older key be thrown away.
func (k Key) Stale(box []byte) bool {
	return len(k.ring) > 0 && (len(box) < overhead || !bytes.Equal(k.ring[0].id[:], box[1:1+idSize]))
}

// IsZero says that there is no key.
func (k Key) IsZero() bool { return len(k.ring) == 0 }

// Rotated returns a ring whose current key is fresh and which still opens what k opens.
func (k Key) Rotated() (Key, error) {
	fresh, err := NewKey()
	if err != nil {
		return Key{}, err
	}
	return Key{ring: append(fresh.ring, k.ring...)}, nil
}

// String hides the key, so that no format verb shows it.
func (k Key) String() string { return "[sealing key]" }

// GoString hides the key from %#v.
func (k Key) GoString() string { return k.String() }

// LogValue hides the key from structured logs.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

func (k Key) text() string {
	var b strings.Builder
	b.WriteString("# Tallyman's sealing keys, the current one first. Whoever has this file can read the stored credentials.\n")
	for _, key := range k.ring {
		b.WriteString(base64.StdEncoding.EncodeToString(key.key[:]) + "\n")
	}
	return b.String()
}

func additional(header []byte, purpose string) []byte {
	return append(bytes.Clone(header), purpose...)
}

func errNoKey(purpose string) error {
	return inventory.Errorf(inventory.ErrForbidden, "there is no key to seal the %s with", purpose).
		WithRemedy("give a sealing key, or a data directory to keep one in")
}
