package index

import (
	"context"
	"encoding/json"
	"path"
	"regexp"
	"strings"
)

func isConda(c candidate) bool {
	return strings.HasSuffix(c.base, ".json") && (strings.HasSuffix(c.dir, "/conda-meta/") || c.dir == "conda-meta/")
}

// readConda reads what conda wrote down of an installed package. What is a Python
// package too has its own metadata in site-packages, which is read there.
func readConda(_ context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	var p struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		License any    `json:"license"`
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return found{}, err
	}
	f := oneVersioned("conda", p.Name, p.Version)
	if l, ok := p.License.(string); ok && len(f.pkgs) == 1 {
		f.pkgs[0].Licenses = oneLicense(l)
	}
	return f, nil
}

// isR wants the DESCRIPTION of a package in a library of R.
func isR(c candidate) bool {
	return c.base == "DESCRIPTION" && strings.Contains(c.dir, "library/")
}

// readR reads an installed package: sources have no Built field. Those of R
// itself have the priority "base" and come with R.
func readR(_ context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	h := paragraph(b, "Package", "Version", "License", "Built", "Priority", "Repository")
	if h["Built"] == "" || h["Priority"] == "base" {
		return found{}, nil
	}
	f := oneVersioned("cran", h["Package"], h["Version"])
	if len(f.pkgs) == 1 {
		f.pkgs[0].Licenses = oneLicense(h["License"])
	}
	return f, nil
}

// isErlang wants the resource file of an application in a release: that is what
// images carry of Erlang and Elixir.
func isErlang(c candidate) bool {
	return strings.HasSuffix(c.base, ".app") && strings.HasSuffix(c.dir, "/ebin/")
}

var (
	erlangApp     = regexp.MustCompile(`\{\s*application\s*,\s*'?([a-z][A-Za-z0-9_@]*)'?\s*,`)
	erlangVersion = regexp.MustCompile(`\{\s*vsn\s*,\s*"([^"]+)"`)
)

// readErlang reads "{application,cowboy,[{vsn,"2.10.0"},...". Applications of
// Erlang itself are not on Hex under these names, so they are listed as plain
// programs that nothing is matched against.
func readErlang(_ context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	name := submatch(erlangApp, b)
	kind := "hex"
	if erlangOwn[name] {
		kind = "otp"
	}
	return oneVersioned(kind, name, submatch(erlangVersion, b)), nil
}

// erlangOwn are the applications that come with Erlang and Elixir.
var erlangOwn = map[string]bool{
	"kernel": true, "stdlib": true, "crypto": true, "ssl": true, "public_key": true, "asn1": true, "compiler": true, "inets": true,
	"sasl": true, "mnesia": true, "os_mon": true, "runtime_tools": true, "syntax_tools": true, "tools": true, "xmerl": true, "ssh": true,
	"snmp": true, "ftp": true, "tftp": true, "eldap": true, "erl_interface": true, "eunit": true, "common_test": true, "debugger": true,
	"dialyzer": true, "diameter": true, "edoc": true, "erl_docgen": true, "et": true, "jinterface": true, "megaco": true, "observer": true,
	"odbc": true, "parsetools": true, "reltool": true, "wx": true, "elixir": true, "eex": true, "ex_unit": true, "iex": true, "logger": true, "mix": true,
}

// isRockspec wants what LuaRocks keeps of an installed rock:
// …/rocks-5.1/<name>/<version>/<name>-<version>.rockspec.
func isRockspec(c candidate) bool {
	return strings.HasSuffix(c.base, ".rockspec") && strings.Contains(c.dir, "/rocks")
}

func readRockspec(_ context.Context, in *input) (found, error) {
	dir := path.Dir(in.path)
	version, name := path.Base(dir), path.Base(path.Dir(dir))
	if !strings.HasPrefix(path.Base(path.Dir(path.Dir(dir))), "rocks") || path.Base(in.path) != name+"-"+version+".rockspec" {
		return found{}, nil
	}
	return oneVersioned("luarocks", name, version), nil
}

// isRelease wants the file that says which Java a directory holds.
func isRelease(c candidate) bool {
	return c.base == "release" && c.size < 64<<10 && c.dir != "" && !strings.HasPrefix(c.path, "etc/")
}

var (
	javaVersion = regexp.MustCompile(`(?m)^JAVA_RUNTIME_VERSION="([^"]+)"`)
	javaShort   = regexp.MustCompile(`(?m)^JAVA_VERSION="([^"]+)"`)
)

// readRelease reads a JVM that was unpacked and not installed: "17.0.9+9" where it
// says so, else "17.0.9".
func readRelease(_ context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	version := submatch(javaVersion, b)
	if !plainVersion(version) {
		version = submatch(javaShort, b)
	}
	return oneVersioned("generic", "openjdk", version), nil
}
