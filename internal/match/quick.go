package match

import "strings"

// The quick ways compare the plain versions that most versions are, without the memory
// and the big numbers that semantic takes for them. They answer only where they agree
// with it; a fuzz test holds them to that.

// quickNumbers compares versions that are nothing but numbers, "1.2.10". Numbers that
// are missing at the end are 0.
func quickNumbers(a, b string) (int, bool) {
	if !plainNumbers(a) || !plainNumbers(b) {
		return 0, false
	}
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if c := compareDigits(x, y); c != 0 {
			return c, true
		}
	}
	return 0, true
}

// plainNumbers tells whether s is digits, in parts that dots part.
func plainNumbers(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '.' || s[len(s)-1] == '.' {
		return false
	}
	for i := range len(s) {
		if !digit(s[i]) && (s[i] != '.' || s[i-1] == '.') {
			return false
		}
	}
	return true
}

// quickAlpine compares "1.2.10-r3" with a version of as many numbers. A number that
// begins with 0 has an order of its own and is left to semantic.
func quickAlpine(a, b string) (int, bool) {
	upA, relA, okA := strings.Cut(a, "-r")
	upB, relB, okB := strings.Cut(b, "-r")
	if !okA || !okB || !digits(relA) || !digits(relB) || !plainNumbers(upA) || !plainNumbers(upB) ||
		strings.Count(upA, ".") != strings.Count(upB, ".") || zeroLed(upA) || zeroLed(upB) {
		return 0, false
	}
	c, _ := quickNumbers(upA, upB)
	if c == 0 {
		c = compareDigits(relA, relB)
	}
	return c, true
}

// zeroLed tells whether a number of s begins with 0 and is not 0.
func zeroLed(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if len(part) > 1 && part[0] == '0' {
			return true
		}
	}
	return false
}

// quickDebian is deb-version(7) without allocations, for plain ASCII.
func quickDebian(a, b string) (int, bool) {
	ea, ua, ra, ok := splitDebian(a)
	eb, ub, rb, ok2 := splitDebian(b)
	if !ok || !ok2 {
		return 0, false
	}
	if c := compareDigits(ea, eb); c != 0 {
		return c, true
	}
	if c := compareDebianPart(ua, ub); c != 0 {
		return c, true
	}
	return compareDebianPart(ra, rb), true
}

func splitDebian(s string) (epoch, upstream, revision string, ok bool) {
	if s == "" || len(s) > maxVersion {
		return "", "", "", false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return "", "", "", false
		}
	}
	if i := strings.IndexByte(s, ':'); i >= 0 {
		if epoch = s[:i]; epoch == "" || !digits(epoch) {
			return "", "", "", false
		}
		s = s[i+1:]
	}
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		return epoch, s[:i], s[i+1:], true
	}
	return epoch, s, "0", true
}

// compareDebianPart compares runs of non-digits and of digits by turns.
func compareDebianPart(a, b string) int {
	for a != "" || b != "" {
		for a != "" && !digit(a[0]) || b != "" && !digit(b[0]) {
			wa, wb := weighDebian(a), weighDebian(b)
			if wa != wb {
				return sign(wa - wb)
			}
			a, b = a[1:], b[1:]
		}
		na, nb := digitRun(a), digitRun(b)
		if c := compareDigits(a[:na], b[:nb]); c != 0 {
			return c
		}
		a, b = a[na:], b[nb:]
	}
	return 0
}

// weighDebian ranks the first character: tilde, then the end of the part, then letters,
// then the rest.
func weighDebian(s string) int {
	switch {
	case s == "" || digit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case letter(s[0]):
		return int(s[0])
	}
	return int(s[0]) + 256
}

// quickSemver compares versions of up to three plain numbers with an optional
// pre-release; build data does not count.
func quickSemver(a, b string) (int, bool) {
	na, pa, ok := splitSemver(a)
	nb, pb, ok2 := splitSemver(b)
	if !ok || !ok2 {
		return 0, false
	}
	for i := range na {
		if c := compareDigits(na[i], nb[i]); c != 0 {
			return c, true
		}
	}
	switch {
	case pa == "" && pb == "":
		return 0, true
	case pa == "":
		return 1, true
	case pb == "":
		return -1, true
	}
	return comparePrerelease(pa, pb), true
}

func splitSemver(s string) (numbers [3]string, prerelease string, ok bool) {
	if len(s) > maxVersion || strings.ContainsFunc(s, func(r rune) bool { return r >= 0x7f }) {
		return numbers, "", false
	}
	s = strings.TrimPrefix(s, "v")
	for i := range numbers {
		n := digitRun(s)
		if n == 0 {
			return numbers, "", false
		}
		numbers[i], s = s[:n], s[n:]
		if i < 2 && s != "" && s[0] == '.' {
			s = s[1:]
			continue
		}
		break
	}
	if i := strings.IndexByte(s, '+'); i >= 0 {
		s = s[:i]
	}
	switch {
	case s == "":
		return numbers, "", true
	case len(s) > 1 && s[0] == '-' && s[1] != '-' && !strings.Contains(s, ".."):
		return numbers, s[1:], true
	}
	return numbers, "", false
}

func comparePrerelease(a, b string) int {
	for {
		fieldA, restA, moreA := strings.Cut(a, ".")
		fieldB, restB, moreB := strings.Cut(b, ".")
		numA, numB := digits(fieldA), digits(fieldB)
		c := 0
		switch {
		case numA && numB:
			c = compareDigits(fieldA, fieldB)
		case numA:
			c = -1
		case numB:
			c = 1
		default:
			c = strings.Compare(fieldA, fieldB)
		}
		if c != 0 {
			return c
		}
		switch {
		case !moreA && !moreB:
			return 0
		case !moreA:
			return -1
		case !moreB:
			return 1
		}
		a, b = restA, restB
	}
}

// compareDigits compares runs of digits as numbers of any size; "" is 0.
func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return sign(len(a) - len(b))
	}
	return strings.Compare(a, b)
}

func digitRun(s string) int {
	n := 0
	for n < len(s) && digit(s[n]) {
		n++
	}
	return n
}

func digits(s string) bool { return s != "" && digitRun(s) == len(s) }
func digit(c byte) bool    { return c >= '0' && c <= '9' }
func letter(c byte) bool   { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
