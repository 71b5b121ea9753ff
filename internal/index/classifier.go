package index

import (
	"regexp"
	"strings"
)

// classifier recognises one program.
type classifier struct {
	pkg     string         // name in the record; purl type generic
	name    *regexp.Regexp // of the file; a group in it is how the version must begin
	version *regexp.Regexp
}

// classifiers is the table of programs that images carry without a package
// manager. Each pattern is anchored to words around the version: a bare number
// would match anything.
func classifiers() []classifier { return programs }

var programs = []classifier{
	{pkg: "node", name: regexp.MustCompile(`^(?:node(?:js)?|libnode\.so.*)$`), version: regexp.MustCompile(`node\.js/v([0-9]+\.[0-9]+\.[0-9]+)`)},
	{pkg: "node", name: regexp.MustCompile(`^(?:node(?:js)?|libnode\.so.*)$`), version: regexp.MustCompile(`nodejs\.org/download/release/v([0-9]+\.[0-9]+\.[0-9]+)/`)},
	{pkg: "python", name: regexp.MustCompile(`^(?:lib)?python([23]\.[0-9]+)(?:$|\.so)`), version: regexp.MustCompile(`\x00([23]\.[0-9]+\.[0-9]+(?:(?:a|b|rc)[0-9]+)?\+?)\x00`)},
	{pkg: "redis", name: regexp.MustCompile(`^redis-(?:server|sentinel|check-rdb|check-aof)$`), version: regexp.MustCompile(`([0-9]{1,2}\.[0-9]+\.[0-9]+?)(?:[A-Za-z][A-Za-z0-9_.-]*-)?1[0-9]{9}[01][0-9a-f]{8}\x00`)},
	{pkg: "redis", name: regexp.MustCompile(`^redis-(?:server|cli|benchmark)$`), version: regexp.MustCompile(`\x00([0-9]+\.[0-9]+\.[0-9]+)\x00?(?:[0-9a-f]{8})?\x00+[^\x00]{0,40}redis`)},
	{pkg: "nginx", name: regexp.MustCompile(`^nginx(?:-debug)?$`), version: regexp.MustCompile(`nginx version: (?:nginx|openresty)/([0-9]+\.[0-9]+\.[0-9.]+)`)},
	{pkg: "nginx", name: regexp.MustCompile(`^nginx(?:-debug)?$`), version: regexp.MustCompile(`\x00nginx/([0-9]+\.[0-9]+\.[0-9.]+)`)},
	{pkg: "postgresql", name: regexp.MustCompile(`^(?:postgres|psql)$`), version: regexp.MustCompile(`\(PostgreSQL\) ([0-9]+\.[0-9.]+)`)},
	{pkg: "openssl", name: regexp.MustCompile(`^(?:openssl|libcrypto\.so.*|libssl\.so.*)$`), version: regexp.MustCompile(`\x00OpenSSL ([0-9]+\.[0-9]+\.[0-9]+[a-z]*) [0-9 ]`)},
	{pkg: "busybox", name: regexp.MustCompile(`^busybox(?:[._-].*)?$`), version: regexp.MustCompile(`BusyBox v([0-9]+\.[0-9]+\.[0-9]+)`)},
	{pkg: "bash", name: regexp.MustCompile(`^bash$`), version: regexp.MustCompile(`@\(#\)Bash version ([0-9]+\.[0-9]+\.[0-9]+)`)},
	{pkg: "perl", name: regexp.MustCompile(`^perl[0-9.]*$`), version: regexp.MustCompile(`/perl5?/([0-9]+\.[0-9]+\.[0-9]+)`)},
	{pkg: "php", name: regexp.MustCompile(`^php(?:-fpm|-cgi|[0-9.]+)?$`), version: regexp.MustCompile(`X-Powered-By: PHP/([0-9]+\.[0-9]+\.[0-9]+)`)},
	{pkg: "ruby", name: regexp.MustCompile(`^(?:ruby[0-9.]*|libruby(?:-[0-9.]+)?\.so.*)$`), version: regexp.MustCompile(`\x00ruby ([0-9]+\.[0-9]+\.[0-9]+)[p ]`)},
	{pkg: "httpd", name: regexp.MustCompile(`^(?:httpd|apache2)$`), version: regexp.MustCompile(`Apache/([0-9]+\.[0-9]+\.[0-9]+)`)},
	{pkg: "haproxy", name: regexp.MustCompile(`^haproxy$`), version: regexp.MustCompile(`HA-?Proxy version ([0-9]+\.[0-9]+\.[0-9]+)`)},
	{pkg: "haproxy", name: regexp.MustCompile(`^haproxy$`), version: regexp.MustCompile(` version ([0-9]+\.[0-9]+\.[0-9]+)[^,\x00]{0,40}, released 2`)},
	{pkg: "memcached", name: regexp.MustCompile(`^memcached$`), version: regexp.MustCompile(`memcached ([0-9]+\.[0-9]+\.[0-9]+)`)},
	{pkg: "mariadb", name: regexp.MustCompile(`^(?:mariadbd?|mariadb-[a-z]+|mysqld?)$`), version: regexp.MustCompile(`([0-9]+\.[0-9]+\.[0-9]+)-MariaDB`)},
	{pkg: "mysql", name: regexp.MustCompile(`^mysqld?$`), version: regexp.MustCompile(`mysql-([0-9]+\.[0-9]+\.[0-9]+)`)},
	{pkg: "curl", name: regexp.MustCompile(`^(?:curl|libcurl\.so.*)$`), version: regexp.MustCompile(`(?:\x00|lib)curl/([0-9]+\.[0-9]+\.[0-9]+)`)},
	{pkg: "openssh", name: regexp.MustCompile(`^(?:sshd?|sshd-session)$`), version: regexp.MustCompile(`OpenSSH_([0-9]+\.[0-9]+(?:\.[0-9]+)?p[0-9]+)`)},
	{pkg: "lua", name: regexp.MustCompile(`^(?:luac?[0-9.]*|liblua[0-9.-]*\.so.*)$`), version: regexp.MustCompile(`Lua ([0-9]+\.[0-9]+\.[0-9]+)  Copyright`)},
	{pkg: "zlib", name: regexp.MustCompile(`^libz\.so`), version: regexp.MustCompile(` deflate ([0-9]+\.[0-9]+(?:\.[0-9]+)*) Copyright`)},
	{pkg: "expat", name: regexp.MustCompile(`^libexpat\.so`), version: regexp.MustCompile(`\x00expat_([0-9]+\.[0-9]+\.[0-9]+)\x00`)},
	{pkg: "musl", name: regexp.MustCompile(`^(?:ld-musl-[a-z0-9_]+\.so\.1|libc\.musl-[a-z0-9_]+\.so\.1)$`), version: regexp.MustCompile(`/proc/self/fd/\x00([0-9]+\.[0-9]+\.[0-9]+)\x00`)},
	{pkg: "envoy", name: regexp.MustCompile(`^envoy$`), version: regexp.MustCompile(`/([0-9]+\.[0-9]+\.[0-9]+)/Clean/RELEASE/`)},
}

// isLibrary says whether a shared library is one that the table recognises. They
// often have no execute bit. All others are passed over: a package manager's
// libraries would be read in vain.
func isLibrary(base string) bool {
	stem, rest, ok := strings.Cut(base, ".so")
	if !ok || rest != "" && rest[0] != '.' {
		return false
	}
	switch stem {
	case "libcrypto", "libssl", "libcurl", "libnode", "libz", "libexpat":
		return true
	}
	for _, prefix := range [...]string{"libpython", "libruby", "liblua", "ld-musl-", "libc.musl-"} {
		if strings.HasPrefix(stem, prefix) {
			return true
		}
	}
	return false
}
