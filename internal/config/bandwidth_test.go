package config_test

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/config"
)

func TestBandwidth(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "500000": 500_000, "500k": 500_000, " 1.5M ": 1_500_000, "1G": 1_000_000_000} {
		c := config.Config{MaxBandwidth: text, Data: "x", Listen: "127.0.0.1:8080", LogFormat: "text", LogLevel: "info", Progress: "auto", Workers: 3}
		if got := c.Bandwidth(); got != want {
			t.Errorf("%q is %d bytes a second, want %d", text, got, want)
		}
	}
	for _, text := range []string{"fast", "-1M", "1", "1T", "NaN", "1e99", "0"} {
		c := config.Config{MaxBandwidth: text}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "max_bandwidth") {
			t.Errorf("%q is taken: %v", text, err)
		}
	}
}
