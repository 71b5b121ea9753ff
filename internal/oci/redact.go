package oci

import (
	"regexp"
	"sort"
	"strconv"
	"strings"
)

const redacted = "<redacted>"

var (
	secretName = regexp.MustCompile(`(?i)(passw|passwd|pwd\b|_pwd|passphrase|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key|credential|_auth\b|^auth$|authorization|\bpat\b|_pat\b|signature|session)`)
	// NAME=value and name: value, the value quoted or a word.
	assignment = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_.-]*)(\s*=\s*|:\s+)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'&;|]+)`)
	// --password value, --token=value (the latter is an assignment too).
	secretFlag = regexp.MustCompile(`(--?[A-Za-z][A-Za-z0-9-]*)\s+("(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'&;|-][^\s"'&;|]*)`)
	userInfo   = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/\s"'@]*(?:@[^/\s"'@]*)*@`)
	queryParam = regexp.MustCompile(`([?&])([^=&\s"'#]+)=([^&\s"'#]*)`)
	authScheme = regexp.MustCompile(`(?i)\b(bearer|basic|token)\s+[A-Za-z0-9._~+/=-]{8,}`)
	shortUser  = regexp.MustCompile(`(\s-u\s+)("[^"]*:[^"]*"|'[^']*:[^']*'|[^\s:"']+:[^\s"']+)`)
	// Shapes that are secrets whatever they are called.
	tokenShape = regexp.MustCompile(`\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{15,}|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{30,}|xox[abprs]-[A-Za-z0-9-]{10,}|AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}|AKC[a-zA-Z0-9]{10,}|cmVmdGtuO[A-Za-z0-9+/=]{20,}|sk-[A-Za-z0-9_-]{20,}|sk_live_[A-Za-z0-9]{16,}|AIza[0-9A-Za-z_-]{30,}|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*)`)
	pemBlock   = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`)
	argCount   = regexp.MustCompile(`^((?:RUN )?\|)([0-9]{1,4}) `)
	argName    = regexp.MustCompile(`(?:^| )([A-Za-z_][A-Za-z0-9_]*)=`)
	shellStart = regexp.MustCompile(` (?:/bin/|/usr/bin/|/busybox/)?(?:sh|bash|ash|dash|zsh) (?:-[A-Za-z]+ )*-[a-z]*c | (?i:cmd|powershell|pwsh) `)
	nopLine    = regexp.MustCompile(`^(/bin/sh -c #\(nop\)\s+)?(ENV|ARG)\s+`)
	envName    = regexp.MustCompile(`(?:^|\s)([A-Za-z_][A-Za-z0-9_.-]*)=`)
)

// redactor takes secrets out of text. It knows the values that this image calls
// secret, so that a label that repeats one is caught too.
type redactor struct{ known *strings.Replacer }

func newRedactor(env, history []string) redactor {
	values := map[string]bool{}
	note := func(name, value string) {
		value = strings.Trim(value, `"'`)
		if len(value) >= 6 && secretName.MatchString(name) {
			values[value] = true
		}
	}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		note(name, value)
	}
	for _, h := range history {
		for _, m := range assignment.FindAllStringSubmatch(h, -1) {
			note(m[1], m[3])
		}
	}
	sorted := make([]string, 0, len(values))
	for v := range values {
		sorted = append(sorted, v)
	}
	// Longest first: a value that contains another must go whole.
	sort.Slice(sorted, func(i, j int) bool {
		return len(sorted[i]) > len(sorted[j]) || len(sorted[i]) == len(sorted[j]) && sorted[i] < sorted[j]
	})
	pairs := make([]string, 0, 2*len(sorted))
	for _, v := range sorted {
		pairs = append(pairs, v, redacted)
	}
	return redactor{known: strings.NewReplacer(pairs...)}
}

// RedactText takes what looks like a secret out of text of unknown origin.
func RedactText(s string) string { return redactor{known: strings.NewReplacer()}.text(s) }

func (r redactor) text(s string) string {
	if s == "" {
		return s
	}
	s = r.known.Replace(s)
	s = pemBlock.ReplaceAllString(s, redacted)
	s = userInfo.ReplaceAllString(s, "${1}"+redacted+"@")
	s = queryParam.ReplaceAllStringFunc(s, func(p string) string {
		m := queryParam.FindStringSubmatch(p)
		if secretName.MatchString(m[2]) || strings.EqualFold(m[2], "sig") {
			return m[1] + m[2] + "=" + redacted
		}
		return p
	})
	s = authScheme.ReplaceAllString(s, "${1} "+redacted)
	s = shortUser.ReplaceAllString(s, "${1}"+redacted)
	s = assignment.ReplaceAllStringFunc(s, func(p string) string {
		m := assignment.FindStringSubmatch(p)
		if secretName.MatchString(m[1]) {
			return m[1] + m[2] + redacted
		}
		return p
	})
	s = secretFlag.ReplaceAllStringFunc(s, func(p string) string {
		m := secretFlag.FindStringSubmatch(p)
		if secretName.MatchString(m[1]) {
			return m[1] + " " + redacted
		}
		return p
	})
	return tokenShape.ReplaceAllString(s, redacted)
}

func (r redactor) env(env []string, keep bool) []string {
	out := make([]string, 0, len(env))
	for _, e := range env {
		name, value, has := strings.Cut(e, "=")
		switch {
		case !has:
			out = append(out, name)
		case keep && !secretName.MatchString(name):
			out = append(out, name+"="+r.text(value))
		default:
			out = append(out, name+"="+redacted)
		}
	}
	return out
}

// args redacts a command; the word after a secret's flag goes too.
func (r redactor) args(args []string) []string {
	out := make([]string, 0, len(args))
	next := false
	for _, a := range args {
		if next && !strings.HasPrefix(a, "-") {
			out, next = append(out, redacted), false
			continue
		}
		next = strings.HasPrefix(a, "-") && !strings.Contains(a, "=") && secretName.MatchString(a)
		out = append(out, r.text(a))
	}
	return out
}

func (r redactor) labels(labels map[string]string) map[string]string {
	out := make(map[string]string, len(labels))
	for k, v := range labels {
		if v != "" && secretName.MatchString(k) {
			v = redacted
		}
		out[k] = r.text(v)
	}
	return out
}

// history redacts one build instruction: every build argument's and every
// environment value, whatever its name, and secrets anywhere else.
func (r redactor) history(line string) string {
	if m := argCount.FindStringSubmatch(line); m != nil {
		return m[1] + m[2] + " " + r.buildArgs(line[len(m[0]):], m[2])
	}
	if m := nopLine.FindStringSubmatchIndex(line); m != nil {
		return line[:m[1]] + r.declaration(line[m[1]:])
	}
	return r.text(line)
}

// buildArgs redacts "A=1 B=2 /bin/sh -c make". Values are not quoted and may hold
// spaces, so all up to the shell goes, and a name is kept only where the count agrees.
func (r redactor) buildArgs(s, count string) string {
	args, rest := s, ""
	if loc := shellStart.FindStringIndex(s); loc != nil {
		args, rest = s[:loc[0]], s[loc[0]:]
	}
	names := argName.FindAllStringSubmatch(args, -1)
	if n, err := strconv.Atoi(count); err != nil || n != len(names) {
		return redacted + r.text(rest)
	}
	parts := make([]string, 0, len(names))
	for _, n := range names {
		parts = append(parts, n[1]+"="+redacted)
	}
	return strings.Join(parts, " ") + r.text(rest)
}

// declaration redacts what follows ENV or ARG: "A=1 B=2", "A 1" or "A".
func (r redactor) declaration(s string) string {
	suffix := ""
	if strings.HasSuffix(s, " # buildkit") {
		s, suffix = strings.TrimSuffix(s, " # buildkit"), " # buildkit"
	}
	name, value, hasSpace := strings.Cut(s, " ")
	if !strings.Contains(name, "=") {
		if hasSpace && value != "" {
			return name + " " + redacted + suffix
		}
		return name + suffix
	}
	var parts []string
	for _, m := range envName.FindAllStringSubmatch(quoted.ReplaceAllString(s, "q"), -1) {
		parts = append(parts, m[1]+"="+redacted)
	}
	return strings.Join(parts, " ") + suffix
}

// quoted values are cut away before names are looked for: they may hold "x=y".
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'[^']*'`)
