package watchspec_test

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/watchspec"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in, want string
		assumed  bool
	}{
		{"2022-04-10T10:00:00Z", "2022-04-10T10:00:00Z", false}, // the documentation's
		{"2022-04-10T12:00:00+02:00", "2022-04-10T10:00:00Z", false},
		{"2022-04-10T12:00+0200", "2022-04-10T10:00:00Z", false},
		{"20220410T120000+02", "2022-04-10T10:00:00Z", false},
		{"2022-04-10T05:30:00\u221204:30", "2022-04-10T10:00:00Z", false},
		{"2022-04-10t10:00:00z", "2022-04-10T10:00:00Z", false},
		{"2022-04-10 10:00:00", "2022-04-10T10:00:00Z", true},
		{"2022-04-10T10:00:00.25Z", "2022-04-10T10:00:00.25Z", false},
		{"2022-04-10T10:00:00,250Z", "2022-04-10T10:00:00.25Z", false},
		{"2022-04-10T10:30.5Z", "2022-04-10T10:30:30Z", false},
		{"2022-04-10T10.5", "2022-04-10T10:30:00Z", true},
		{"2022-04-10T10", "2022-04-10T10:00:00Z", true},
		{"2022-04-10T24:00Z", "2022-04-11T00:00:00Z", false},
		{"2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", false},
		{"2022-04-10", "2022-04-10T00:00:00Z", true},
		{"20220410", "2022-04-10T00:00:00Z", true},
		{"2022-04", "2022-04-01T00:00:00Z", true},
		{"2022", "2022-01-01T00:00:00Z", true},
		{"2022-100", "2022-04-10T00:00:00Z", true},
		{"2022100T10Z", "2022-04-10T10:00:00Z", false},
		{"2022-W14-7", "2022-04-10T00:00:00Z", true},
		{"2022W147T1000Z", "2022-04-10T10:00:00Z", false},
		{"2022-W14", "2022-04-04T00:00:00Z", true},
		{"2020-W53-5", "2021-01-01T00:00:00Z", true},
		{"2024-02-29", "2024-02-29T00:00:00Z", true},
		{" 2022-04-10T10:00:00Z ", "2022-04-10T10:00:00Z", false},
	} {
		got, assumed, err := watchspec.ParseTime(tc.in)
		if err != nil {
			t.Errorf("%q: %v", tc.in, err)
			continue
		}
		if s := got.Format(time.RFC3339Nano); s != tc.want || assumed != tc.assumed {
			t.Errorf("%q is %s (zone assumed: %v), want %s (%v)", tc.in, s, assumed, tc.want, tc.assumed)
		}
	}
}

func TestParseTimeRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"", "yesterday", "2022-13-01", "2022-02-29", "2022-00-10", "202204", "2022-4-1", "2022-366", "2022-000", "2022-W53", "2022-W00",
		"2022-W14-8", "2022-04-10T", "2022-04-10T25:00", "2022-04-10T24:01", "2022-04-10T10:60", "2022-04-10T10:00:61", "2022-04-10T1000:00",
		"2022-04-10T10:00:00+25", "2022-04-10T10:00:00+02:", "2022-04-10T10:00:00ZZ", "2022-0410", "1649584800", "10/04/2022",
	} {
		if got, _, err := watchspec.ParseTime(in); err == nil {
			t.Errorf("%q is taken as %s", in, got)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	f.Add("2022-04-10T10:00:00Z")
	f.Add("2022-W14-7T10,5+02")
	f.Fuzz(func(t *testing.T, s string) {
		got, _, err := watchspec.ParseTime(s)
		if err == nil && (got.Location() != time.UTC || got.Year() < -1 || got.Year() > 10000) {
			t.Errorf("%q is %s", s, got)
		}
	})
}
