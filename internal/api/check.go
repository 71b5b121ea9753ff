package api

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const (
	maxName    = 64
	maxPattern = 256
	maxList    = 2000
)

func invalid(format string, args ...any) *inventory.Error {
	return inventory.Errorf(inventory.ErrInvalid, format, args...)
}

// checked tidies what was typed about an integration and refuses what cannot work.
func (h *Hub) checked(ctx context.Context, in inventory.Integration) (inventory.Integration, error) {
	in.Name = strings.TrimSpace(in.Name)
	if !validName(in.Name) {
		return in, invalid("%q is not a name for an integration", shorten(in.Name)).
			WithRemedy("use letters, digits, '-', '_' and '.', at most %d, beginning with a letter or digit", maxName)
	}
	if in.Kind == "" {
		in.Kind = inventory.KindArtifactory
	}
	if in.Kind != inventory.KindArtifactory && in.Kind != inventory.KindOCI {
		return in, invalid("%q is not a kind of registry", shorten(in.Kind)).WithRemedy("use artifactory or oci")
	}
	in.URL = strings.TrimRight(strings.TrimSpace(in.URL), "/")
	if in.URL != "" && !strings.Contains(in.URL, "://") {
		in.URL = "https://" + in.URL
	}
	u, err := checkURL("URL", in.URL)
	if err != nil {
		return in, err
	}
	in.Username, in.CAFile, in.Proxy = strings.TrimSpace(in.Username), strings.TrimSpace(in.CAFile), strings.TrimSpace(in.Proxy)
	if in.Proxy != "" {
		if _, err := checkURL("proxy", in.Proxy); err != nil {
			return in, err
		}
	}
	if in.Registry = strings.TrimSpace(in.Registry); in.Registry == "" {
		in.Registry = u.Host
	}
	if strings.ContainsAny(in.Registry, "/ \t@?#") {
		return in, invalid("%q is not a registry", shorten(in.Registry)).WithRemedy("write HOST or HOST:PORT")
	}
	in.Repositories, in.Include, in.Exclude = tidy(in.Repositories), tidy(in.Include), tidy(in.Exclude)
	in.Tags, in.AuthHosts = tidy(in.Tags), tidy(in.AuthHosts)
	if err := checkPatterns(in); err != nil {
		return in, err
	}
	if in.Watcher != "" {
		return in, nil // nobody goes there from here
	}
	return in, h.refuseAddresses(ctx, in)
}

func validName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("-_.", r)) {
			return false
		}
	}
	return true
}

func checkURL(what, s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || len(s) > 2048 || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, invalid("the %s is not an address", what).WithRemedy("write https://HOST, with a port or path where there is one")
	}
	if u.User != nil {
		return nil, invalid("the %s holds credentials", what).WithRemedy("give the user name and the secret apart from it")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, invalid("the %s has a query or fragment", what).WithRemedy("leave out what follows ? or #")
	}
	return u, nil
}

func checkPatterns(in inventory.Integration) error {
	for _, key := range in.Repositories {
		if strings.ContainsAny(key, "/ \t\\:*?\"<>|") || len(key) > maxName*2 {
			return invalid("%q is not a repository key", shorten(key)).
				WithRemedy("give the key alone, as Artifactory lists it; images are chosen by include and exclude")
		}
	}
	for _, glob := range append(append([]string{}, in.Include...), in.Exclude...) {
		if len(glob) > maxPattern || !doublestar.ValidatePattern(glob) {
			return invalid("%q is not a pattern for image names", shorten(glob)).WithRemedy("use * and **, as in team/*")
		}
	}
	for _, expr := range in.Tags {
		if len(expr) > maxPattern {
			return invalid("the tag expression %q is too long", shorten(expr))
		}
		if _, err := regexp.Compile(expr); err != nil {
			return invalid("%q is not a regular expression", shorten(expr)).WithRemedy(`use one such as ^v\d+`)
		}
	}
	for _, list := range [][]string{in.Repositories, in.Include, in.Exclude, in.Tags, in.AuthHosts} {
		if len(list) > maxList {
			return invalid("a list has more than %d entries", maxList)
		}
	}
	return nil
}

func tidy(list []string) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:80]) + "…"
	}
	return s
}

// origin is scheme, host and port: what credentials are given for.
func origin(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// refuseAddresses keeps the server from being sent to link-local addresses, where
// clouds hand out the credentials of the machine.
func (h *Hub) refuseAddresses(ctx context.Context, in inventory.Integration) error {
	if h.AllowLinkLocal {
		return nil
	}
	for _, raw := range []string{in.URL, in.Proxy} {
		u, err := url.Parse(raw)
		if err != nil || u.Hostname() == "" {
			continue
		}
		if err := refuseHost(ctx, u.Hostname()); err != nil {
			return err
		}
	}
	return nil
}

func refuseHost(ctx context.Context, host string) error {
	addrs := []netip.Addr{}
	if addr, err := netip.ParseAddr(host); err == nil {
		addrs = append(addrs, addr)
	} else {
		// A name that does not resolve here may still resolve at the proxy; if not, the
		// connector says so. What matters is only where it is known to lead.
		look, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		found, err := net.DefaultResolver.LookupNetIP(look, "ip", host)
		var dns *net.DNSError
		if err != nil && !errors.As(err, &dns) && ctx.Err() != nil {
			return ctx.Err()
		}
		addrs = found
	}
	for _, addr := range addrs {
		if inventory.LinkLocal(addr) {
			return inventory.Errorf(inventory.ErrForbidden, "%s is a link-local address", shorten(host)).
				WithRemedy("an integration cannot point there; use the address that others reach the registry by")
		}
	}
	return nil
}
