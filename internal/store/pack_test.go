package store

import (
	"bytes"
	"testing"
	"time"
)

// What was packed either way is read back; what is damaged is an error, not a crash.
func TestUnpackReadsBothPackings(t *testing.T) {
	for _, raw := range [][]byte{nil, []byte("{}"), bytes.Repeat([]byte(`{"id":"CVE-2024-1"},`), 5000)} {
		slow, err := pack(raw)
		if err != nil {
			t.Fatal(err)
		}
		for name, packed := range map[string][]byte{"pack": slow, "packQuick": packQuick(raw)} {
			got, err := unpack(packed)
			if err != nil || !bytes.Equal(got, raw) {
				t.Errorf("%s of %d bytes: unpack gave %d bytes, %v", name, len(raw), len(got), err)
			}
			for n := 1; n < min(len(packed), 64); n++ {
				if got, err := unpack(packed[:n]); err == nil && len(got) > 0 {
					t.Errorf("%s of %d bytes, cut to %d: %d bytes and no error", name, len(raw), n, len(got))
				}
			}
		}
	}
	// A length that nobody would store must not be believed.
	if _, err := unpack([]byte{markQuick, 0xff, 0xff, 0xff, 0xff, 0x0f, 0}); err == nil {
		t.Error("a quick packing that says it holds 4 GiB: no error")
	}
}

// However long a transaction took, the next takes some records and not too many, fewer
// after a slow one and more after a quick one.
func TestNextStep(t *testing.T) {
	for _, c := range []struct {
		n    int
		held time.Duration
		want int
	}{
		{100, advisoryHold, 100},
		{100, 2 * advisoryHold, 50},
		{100, advisoryHold / 2, advisoryMost},
		{20, 0, 50},
		{1, 0, 12},
		{100, time.Minute, advisoryLeast},
		{advisoryMost, 0, advisoryMost},
	} {
		if got := nextStep(c.n, c.held); got != c.want {
			t.Errorf("nextStep(%d, %v) = %d, want %d", c.n, c.held, got, c.want)
		}
	}
}
