package config

import (
	"math"
	"strconv"
	"strings"
)

// Bandwidth is how many bytes a second all downloads from one registry may take
// together; 0 = as many as come.
func (c Config) Bandwidth() int64 {
	n, _ := parseBandwidth(c.MaxBandwidth)
	return n
}

// parseBandwidth reads bytes a second: 500000, 500K, 10M or 1G, the letters by thousands.
func parseBandwidth(s string) (int64, bool) {
	s = strings.ToUpper(strings.TrimSpace(s))
	if s == "" {
		return 0, true
	}
	factor := 1.0
	for letter, by := range map[string]float64{"K": 1e3, "M": 1e6, "G": 1e9} {
		if rest, ok := strings.CutSuffix(s, letter); ok {
			s, factor = rest, by
			break
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	if n *= factor; err != nil || math.IsNaN(n) || n < 1000 || n > 1e12 {
		return 0, false
	}
	return int64(n), true
}
