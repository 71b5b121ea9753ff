package index

import (
	"context"
	"path"
	"strings"
)

// isCopyright wants Debian's statement of a package's licences. It is a link where
// packages of one source share it.
func isCopyright(c candidate) bool {
	return c.base == "copyright" && strings.HasPrefix(c.dir, "usr/share/doc/") && strings.Count(c.dir, "/") == 4
}

// readCopyright reads the machine-readable form only: the others are prose, and a
// guess from prose is no licence. The licences go into the text of the file, a
// line each, and to the package when layers are squashed.
func readCopyright(_ context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	head, _, _ := strings.Cut(string(b[:min(len(b), 4096)]), "\n\n")
	if !strings.Contains(head, "copyright-format/1.") && !strings.Contains(head, "dep5") {
		return found{}, nil
	}
	seen := map[string]bool{}
	var names []string
	for _, line := range strings.Split(string(b), "\n") {
		name, ok := strings.CutPrefix(line, "License:")
		if name = strings.TrimSpace(name); !ok || name == "" || seen[name] || len(name) > 200 || len(names) >= 64 {
			continue
		}
		seen[name] = true
		names = append(names, name)
	}
	return found{text: strings.Join(names, "\n")}, nil
}

// debianLicenses gives the licences that a package's copyright file names.
func (s *state) debianLicenses(name string) []string {
	f, ok := s.files[path.Join(s.links.follow("usr/share/doc/"+name), "copyright")]
	if !ok || f.Text == "" {
		return nil
	}
	return strings.Split(f.Text, "\n")
}
