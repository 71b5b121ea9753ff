package oci

import (
	"regexp"
	"strings"
)

// dockerDeclaration begins an instruction whose values are never kept.
var dockerDeclaration = regexp.MustCompile(`(?i)^\s*(?:ENV|ARG)\s+`)

// RedactDockerfile takes secrets out of a Dockerfile: the value of every ENV and
// ARG, also where it goes on over several lines, and what looks like a secret
// anywhere else.
func RedactDockerfile(text string) string {
	r := newRedactor(nil, nil)
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	out := make([]string, 0, len(lines))
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		at := dockerDeclaration.FindStringIndex(line)
		if at == nil {
			out = append(out, line)
			continue
		}
		for strings.HasSuffix(strings.TrimRight(line, " \t"), "\\") && i+1 < len(lines) {
			i++
			line = strings.TrimSuffix(strings.TrimRight(line, " \t"), "\\") + " " + strings.TrimSpace(lines[i])
		}
		out = append(out, line[:at[1]]+r.declaration(strings.TrimSpace(line[at[1]:])))
	}
	return r.text(strings.Join(out, "\n"))
}
