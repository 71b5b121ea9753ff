package inventory_test

import (
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func TestCount(t *testing.T) {
	f := func(id, severity string, fixed ...string) inventory.Finding {
		return inventory.Finding{ID: id, Severity: severity, FixedVersions: fixed}
	}
	excepted := f("CVE-5", inventory.Critical)
	excepted.Exception = &inventory.Exception{}
	got := inventory.Count([]inventory.Finding{
		f("CVE-1", inventory.Low), f("CVE-1", inventory.High, "2.0"), // one flaw in two packages
		f("CVE-2", inventory.High), f("CVE-3", "weird"), excepted,
	})
	want := inventory.Counts{High: 2, Unspecified: 1, Fixable: 1, FixableBy: [5]int{0, 1, 0, 0, 0}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestErrorKeepsKindAndCause(t *testing.T) {
	err := inventory.Errorf(inventory.ErrUnavailable, "read %s: %w", "x", io.ErrUnexpectedEOF).WithRemedy("wait")
	if !errors.Is(err, inventory.ErrUnavailable) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("kind or cause is lost: %v", err)
	}
	if got, want := err.Error(), "read x: unexpected EOF (wait)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPrintable(t *testing.T) {
	if got, want := inventory.Printable("a\x1b[31mb\nc\u202ed"), "a\ufffd[31mb c\ufffdd"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
