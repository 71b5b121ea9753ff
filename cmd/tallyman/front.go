package main

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/config"
)

// forwarded are the headers in which a proxy tells what it hides. Whoever else sends
// them is not believed.
func forwarded() []string {
	return []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-Ip"}
}

// front stands before every handler: it takes the address of the caller from a proxy
// that the settings trust, takes the path off that a proxy puts before ours (whether the
// proxy does or not), and has browsers that came by TLS come back by TLS.
func front(h http.Handler, cfg config.Config, tls bool) (http.Handler, error) {
	proxies, err := cfg.Proxies()
	if err != nil {
		return nil, err
	}
	base := cfg.Base()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = behind(r, proxies)
		if tls || cfg.Secure() {
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		}
		if path, ok := strings.CutPrefix(r.URL.Path, base); ok && base != "" && (path == "" || path[0] == '/') {
			at := *r.URL
			at.Path = "/" + strings.TrimPrefix(path, "/")
			if raw, ok := strings.CutPrefix(at.RawPath, base); ok {
				at.RawPath = "/" + strings.TrimPrefix(raw, "/")
			}
			r.URL, r.RequestURI = &at, at.RequestURI()
		}
		h.ServeHTTP(w, r)
	}), nil
}

// behind is the request as the caller sent it: with the address that the nearest trusted
// proxies vouch for, and without what anybody else says.
func behind(r *http.Request, proxies []netip.Prefix) *http.Request {
	trusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !trusted(peer.Addr()) {
		for _, name := range forwarded() {
			r.Header.Del(name)
		}
		return r
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		a, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break // what stands further left, nobody we trust wrote
		}
		r.RemoteAddr = net.JoinHostPort(a.Unmap().WithZone("").String(), "0")
		if !trusted(a) {
			break
		}
	}
	return r
}
