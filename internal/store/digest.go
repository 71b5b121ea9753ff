package store

import (
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// digest is "sha256:<64 hex>" in Go and 32 bytes in the database (sha512: 64 bytes).
// Empty stays empty.
type digest string

// Value implements driver.Valuer.
func (d digest) Value() (driver.Value, error) {
	if d == "" {
		return []byte{}, nil
	}
	algorithm, text, _ := strings.Cut(string(d), ":")
	raw, err := hex.DecodeString(text)
	known := algorithm == "sha256" && len(raw) == 32 || algorithm == "sha512" && len(raw) == 64
	if err != nil || strings.ToLower(text) != text || !known {
		return nil, inventory.Errorf(inventory.ErrInvalid, "%.100q is not a digest", string(d)).
			WithRemedy("a digest is sha256: and 64 hexadecimal digits")
	}
	return raw, nil
}

// Scan implements sql.Scanner.
func (d *digest) Scan(src any) error {
	raw, ok := src.([]byte)
	switch {
	case src == nil || ok && len(raw) == 0:
		*d = ""
	case ok && len(raw) == 32:
		*d = digest("sha256:" + hex.EncodeToString(raw))
	case ok && len(raw) == 64:
		*d = digest("sha512:" + hex.EncodeToString(raw))
	default:
		return fmt.Errorf("stored digest is %d bytes of %T", len(raw), src)
	}
	return nil
}

func (d digest) check() error {
	if d == "" {
		return inventory.Errorf(inventory.ErrInvalid, "a digest is missing")
	}
	_, err := d.Value()
	return err
}

func digests(list []string) []digest {
	out := make([]digest, len(list))
	for i, s := range list {
		out[i] = digest(s)
	}
	return out
}
