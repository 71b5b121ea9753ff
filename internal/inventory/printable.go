package inventory

import (
	"strings"
	"unicode"
)

// Printable makes text from outside harmless on a terminal: control characters and
// marks that reorder text are shown as "�", line breaks and tabs become spaces.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\r':
			return ' '
		case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
