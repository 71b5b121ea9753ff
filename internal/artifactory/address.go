package artifactory

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Address is what somebody typed as the URL of a registry, understood.
type Address struct {
	URL      string // scheme://host[:port][/path]; no trailing slash, query or interface tail
	Host     string // host[:port], lower case
	Exact    bool   // URL ends in /artifactory: nothing has to be guessed
	Insecure bool   // plain http
	// Set when an image reference or a link into a repository was pasted.
	Key   string
	Image string
}

// ParseAddress reads a URL as people type it: with or without scheme, port and
// /artifactory, with the tail of a page of the web interface, or as an image
// reference. It asks nobody; which context path is served is found out later.
func ParseAddress(raw string) (Address, error) {
	text := strings.TrimSpace(raw)
	if text == "" {
		return Address{}, inventory.Errorf(inventory.ErrInvalid, "no URL").
			WithRemedy("give the address of Artifactory, as https://example.jfrog.io")
	}
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	scheme, rest, _ := strings.Cut(text, "://")
	scheme = strings.ToLower(scheme)
	if scheme != "https" && scheme != "http" {
		return Address{}, inventory.Errorf(inventory.ErrInvalid, "the URL %s has the unknown scheme %q", shown(raw), scheme).
			WithRemedy("use https:// (or http://, which is not recommended)")
	}
	rest, _, _ = strings.Cut(rest, "?")
	rest, _, _ = strings.Cut(rest, "#")
	host, path, _ := strings.Cut(rest, "/")
	if strings.Contains(host, "@") {
		return Address{}, inventory.Errorf(inventory.ErrInvalid, "the URL holds a user name or password").
			WithRemedy("take it out of the URL and give it as user name and secret")
	}
	host, err := cleanHost(host, raw)
	if err != nil {
		return Address{}, err
	}
	a := Address{Host: host, Insecure: scheme == "http"}
	segs := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	if at := slices.Index(segs, "v1"); at == 0 || at > 2 && segs[at-3] == "api" {
		return Address{}, inventory.Errorf(inventory.ErrUnsupported, "the URL %s is of a Docker V1 registry, which is not supported", shown(raw)).
			WithRemedy("use a repository with Docker API version V2")
	}
	a.readPath(scheme+"://"+host, segs)
	return a, nil
}

func cleanHost(host, raw string) (string, error) {
	u, err := url.Parse("https://" + host)
	if err != nil || u.Hostname() == "" || u.Host != host || strings.ContainsAny(host, " \t\\\"'<>") || strings.HasSuffix(host, ":") {
		return "", inventory.Errorf(inventory.ErrInvalid, "the URL %s names no valid host", shown(raw)).
			WithRemedy("give the address of Artifactory, as https://example.jfrog.io")
	}
	return strings.ToLower(host), nil
}

// readPath keeps the context path and learns a repository key from the rest.
func (a *Address) readPath(root string, segs []string) {
	if at := slices.Index(segs, "artifactory"); at >= 0 {
		a.Exact = true
		a.URL = root + "/" + strings.Join(segs[:at+1], "/")
		a.readLink(segs[at+1:])
		return
	}
	for i, seg := range segs {
		switch seg {
		case "ui", "webapp", "api":
			a.URL = join(root, segs[:i])
			a.readPage(segs[i:])
			return
		case "v2":
			a.URL = join(root, segs[:i])
			a.readLink(segs[i+1:])
			return
		}
	}
	if key, image, ok := readReference(segs); ok {
		a.URL, a.Key, a.Image = root, key, image
		return
	}
	a.URL = join(root, segs)
}

// readLink learns the repository key of a link below /artifactory or /v2.
func (a *Address) readLink(segs []string) {
	switch {
	case len(segs) == 0, strings.HasPrefix(segs[0], "_"):
	case segs[0] == "webapp", segs[0] == "ui":
		a.readPage(segs)
	case segs[0] == "api":
		if len(segs) > 2 && (segs[1] == "docker" || segs[1] == "oci" || segs[1] == "storage") {
			a.Key = segs[2]
		}
	default:
		a.Key = segs[0]
		if key, image, ok := readReference(segs); ok {
			a.Key, a.Image = key, image
		}
	}
}

// readPage learns the repository key of a page of the web interface:
// ui/repos/tree/General/KEY/… or ui/native/KEY/….
func (a *Address) readPage(segs []string) {
	for i, seg := range segs {
		switch {
		case seg == "tree" && i+2 < len(segs):
			a.Key = segs[i+2]
			return
		case seg == "native" && i+1 < len(segs):
			a.Key = segs[i+1]
			return
		}
	}
}

func join(root string, segs []string) string {
	if len(segs) == 0 {
		return root
	}
	return root + "/" + strings.Join(segs, "/")
}

// readReference recognises KEY/image:tag and KEY/image@sha256:….
func readReference(segs []string) (key, image string, ok bool) {
	if len(segs) < 2 {
		return "", "", false
	}
	last := segs[len(segs)-1]
	name, _, digest := strings.Cut(last, "@sha256:")
	name, _, tag := strings.Cut(name, ":")
	if !digest && !tag {
		return "", "", false
	}
	return segs[0], strings.Join(append(slices.Clone(segs[1:len(segs)-1]), name), "/"), true
}

// SuggestKey tells the repository key in an image reference that was given as a
// key, and whether s is a reference at all.
func SuggestKey(s string) (string, bool) {
	s = strings.TrimSpace(s)
	if _, rest, found := strings.Cut(s, "://"); found {
		s = rest
	}
	segs := strings.FieldsFunc(s, func(r rune) bool { return r == '/' })
	if len(segs) < 2 {
		return "", false
	}
	if host := segs[0]; strings.ContainsAny(host, ".:") || host == "localhost" {
		segs = segs[1:]
	}
	if len(segs) > 1 && segs[0] == "artifactory" {
		segs = segs[1:]
	}
	key, _, _ := strings.Cut(segs[0], "@")
	key, _, _ = strings.Cut(key, ":")
	return key, key != ""
}

// ParseKeys splits repository keys at commas, semicolons and white space, and
// drops repetitions.
func ParseKeys(s string) []string {
	var keys []string
	for _, key := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(",; \t\r\n", r) }) {
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// withPort makes host comparable: the port that its scheme implies is written out.
func withPort(scheme, host string) string {
	host = strings.ToLower(host)
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	bare := strings.Trim(host, "[]")
	if scheme == "http" {
		return net.JoinHostPort(bare, "80")
	}
	return net.JoinHostPort(bare, "443")
}

// shown is text from outside as it may stand in a sentence.
func shown(s string) string {
	s = strings.TrimSpace(inventory.Printable(s))
	const most = 300
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return s
}
