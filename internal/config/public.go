package config

import (
	"net/netip"
	"net/url"
	"strings"
)

// Base is the path of the public URL, which a proxy puts before ours: "" or "/tallyman".
func (c Config) Base() string {
	u, err := url.Parse(c.PublicURL)
	if err != nil {
		return ""
	}
	return strings.TrimRight(u.Path, "/")
}

// Secure says that browsers speak TLS to whatever the public URL names.
func (c Config) Secure() bool { return strings.HasPrefix(c.PublicURL, "https://") }

// Proxies are the networks of the proxies whose X-Forwarded-* headers are believed.
func (c Config) Proxies() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range c.TrustedProxies {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, errAddr := netip.ParseAddr(text)
			if errAddr != nil {
				return nil, err
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		all = append(all, p)
	}
	return all, nil
}

// words takes a list from an environment variable apart: commas or blanks separate.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(", \t", r) })
}

func (c Config) validatePublic(bad func(format string, args ...any)) {
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Contains(u.Path, "//") {
			bad("public_url %q is not an http:// or https:// address, with a path where a proxy adds one", c.PublicURL)
		}
	}
	if _, err := c.Proxies(); err != nil {
		bad("trusted_proxies holds what is neither an address nor a network: %v", err)
	}
}
