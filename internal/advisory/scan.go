package advisory

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const maxDepth = 64 // of nested JSON; records use 6

// scanner walks one JSON text once and stops nowhere twice. encoding/json reads
// every byte twice and cannot pass over a value of the wrong type; feeds are large
// and records careless, so that both matter here.
type scanner struct {
	data  []byte
	pos   int
	depth int
}

// wrong is the error at the present place.
func (s *scanner) wrong(what string) error {
	return inventory.Errorf(inventory.ErrInvalid, "%s at byte %d", what, s.pos)
}

// peek is the first byte of the next value, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// end demands that nothing follows.
func (s *scanner) end() error {
	if s.peek() != 0 || s.pos < len(s.data) {
		return s.wrong("something after the value")
	}
	return nil
}

// object calls field at the value of each key; field must consume it.
func (s *scanner) object(field func(key string) error) error {
	return s.members('{', '}', func() error {
		if s.peek() != '"' {
			return s.wrong("no key")
		}
		key, err := s.rawString()
		if err != nil {
			return err
		}
		if s.peek() != ':' {
			return s.wrong("no colon")
		}
		s.pos++
		// A key with an escape is none of ours and simply does not compare equal.
		return field(string(key))
	})
}

// array calls element at each element; element must consume it.
func (s *scanner) array(element func() error) error { return s.members('[', ']', element) }

func (s *scanner) members(open, shut byte, member func() error) error {
	if s.peek() != open {
		return s.wrong("not " + string(open))
	}
	if s.depth++; s.depth > maxDepth {
		return s.wrong("nested too deep")
	}
	s.pos++
	if s.peek() == shut {
		s.pos++
		s.depth--
		return nil
	}
	for {
		if err := member(); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.pos++
		case shut:
			s.pos++
			s.depth--
			return nil
		default:
			return s.wrong("neither , nor " + string(shut))
		}
	}
}

// skip passes over one value.
func (s *scanner) skip() error {
	switch c := s.peek(); {
	case c == '{':
		return s.object(func(string) error { return s.skip() })
	case c == '[':
		return s.array(s.skip)
	case c == '"':
		_, err := s.rawString()
		return err
	case c == '-' || c >= '0' && c <= '9':
		_, err := s.number()
		return err
	default:
		return s.literal()
	}
}

func (s *scanner) literal() error {
	for _, word := range [...]string{"null", "true", "false"} {
		if bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
			s.pos += len(word)
			return nil
		}
	}
	return s.wrong("no value")
}

func (s *scanner) number() (string, error) {
	start := s.pos
	for s.pos < len(s.data) && strings.IndexByte("+-.0123456789eE", s.data[s.pos]) >= 0 {
		s.pos++
	}
	n := string(s.data[start:s.pos])
	if _, err := strconv.ParseFloat(n, 64); err != nil && s.pos-start < 64 {
		return "", s.wrong("no number")
	}
	return n, nil
}

// text reads a string or a number as text. Another value is passed over and reads as "".
func (s *scanner) text() (string, error) {
	switch c := s.peek(); {
	case c == '"':
		return s.string()
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	default:
		return "", s.skip()
	}
}

// word reads a string that must be one, or null.
func (s *scanner) word() (string, error) {
	switch s.peek() {
	case '"':
		return s.string()
	case 'n':
		return "", s.literal()
	}
	return "", s.wrong("not a string")
}

func (s *scanner) string() (string, error) {
	raw, err := s.rawString()
	if err != nil {
		return "", err
	}
	if bytes.IndexByte(raw, '\\') >= 0 {
		return unescape(raw), nil
	}
	if !utf8.Valid(raw) {
		return strings.ToValidUTF8(string(raw), "\ufffd"), nil
	}
	return string(raw), nil
}

// rawString is what stands between the quotes; its escapes are known to be well formed.
func (s *scanner) rawString() ([]byte, error) {
	s.pos++
	start := s.pos
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[start : s.pos-1], nil
		case c == '\\':
			if !s.escape() {
				return nil, s.wrong("bad escape")
			}
		case c < 0x20:
			return nil, s.wrong("control character in a string")
		default:
			s.pos++
		}
	}
	return nil, s.wrong("string without end")
}

func (s *scanner) escape() bool {
	rest := s.data[s.pos+1:]
	if len(rest) == 0 {
		return false
	}
	if rest[0] != 'u' {
		s.pos += 2
		return strings.IndexByte(`"\/bfnrt`, rest[0]) >= 0
	}
	if len(rest) < 5 || hex(rest[1:5]) < 0 {
		return false
	}
	s.pos += 6
	return true
}

// unescape resolves the escapes of a well formed string.
func unescape(raw []byte) string {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++
		if raw[i] != 'u' {
			out = append(out, plainEscape(raw[i]))
			continue
		}
		r := hex(raw[i+1 : i+5])
		i += 4
		if utf16.IsSurrogate(r) {
			pair := utf8.RuneError
			if i+6 < len(raw) && raw[i+1] == '\\' && raw[i+2] == 'u' {
				pair = utf16.DecodeRune(r, hex(raw[i+3:i+7]))
			}
			if r = pair; r != utf8.RuneError {
				i += 6
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return strings.ToValidUTF8(string(out), "\ufffd")
}

func plainEscape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// hex is the value of four hexadecimal digits, -1 when they are none.
func hex(four []byte) rune {
	v, err := strconv.ParseUint(string(four), 16, 16)
	if err != nil {
		return -1
	}
	return rune(v)
}
