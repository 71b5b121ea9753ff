package artifactorytest

import "strings"

// antMatch matches a path with an Ant pattern: ? one character, * any run in
// one part, ** any number of parts. A pattern ending in / covers all below.
func antMatch(pattern, path string) bool {
	if pattern == "**" || pattern == "**/*" {
		return true
	}
	if strings.HasSuffix(pattern, "/") {
		pattern += "**"
	}
	return antParts(strings.Split(strings.Trim(pattern, "/"), "/"), strings.Split(path, "/"))
}

// antParts tries part after part and, like starMatch, needs to go back only to
// the last ** it passed: no input makes it slow.
func antParts(pattern, path []string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(path) {
		switch {
		case p < len(pattern) && pattern[p] == "**":
			star, mark = p, i
			p++
		case p < len(pattern) && starMatch(pattern[p], path[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == "**" {
		p++
	}
	return p == len(pattern)
}

// starMatch matches text with a pattern of ? and *, both over any character.
func starMatch(pattern, text string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
