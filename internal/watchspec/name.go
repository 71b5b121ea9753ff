package watchspec

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Name makes the name of an integration that nobody named: the same parts always
// give the same name, so that a restart finds what was recorded before.
func Name(parts ...string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, strings.Join(parts, "-"))
	const most = 60
	if len(name) <= most {
		return name
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return name[:most-9] + "-" + hex.EncodeToString(sum[:4])
}

// literal is a glob that matches just s.
func literal(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(`*?[]{}\`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
