package watchspec

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Spec is one watched registry as it was typed.
type Spec struct {
	Integration inventory.Integration
	Port        int      // to listen on for webhooks; 0 = not asked for
	Notes       []string // one line each: what was taken how
}

// keys of the string, each with the name that we keep it under.
var registryKeys = map[string]string{
	"type": "type", "registry": "registry", "api": "api", "repository": "repository", "repositories": "repository",
	"include": "include", "includes": "include", "exclude": "exclude", "excludes": "exclude",
	"port": "port", "subdomain-mode": "subdomain-mode",
}

// ParseRegistry reads one --registry value: "key=value,…", or the host of a
// plain registry. repositories are those of --repository, for a string that
// names none itself.
func ParseRegistry(s string, repositories []string) (Spec, error) {
	fields, err := split(s, ',')
	if err != nil {
		return Spec{}, inventory.Errorf(inventory.ErrInvalid, "--registry %s: %w", quoted(s), err)
	}
	if len(fields) == 1 && !strings.Contains(fields[0], "=") {
		return plain(fields[0], repositories)
	}
	values, err := keyValues(s, fields)
	if err != nil {
		return Spec{}, err
	}
	var spec Spec
	if len(values["repository"]) > 0 && len(repositories) > 0 {
		spec.Notes = append(spec.Notes, "the repository of the --registry string is used; --repository is not")
	} else if len(values["repository"]) == 0 {
		values["repository"] = lists(repositories)
	}
	kind := strings.ToLower(first(values["type"]))
	switch kind {
	case "artifactory":
		return artifactorySpec(spec, s, values)
	case "oci", "":
		return ociSpec(spec, s, values)
	case "harbor", "nexus":
		return Spec{}, inventory.Errorf(inventory.ErrUnsupported, "--registry type=%s is not supported", kind).
			WithRemedy("it can be watched as a plain registry: --registry type=oci,registry=HOST")
	}
	return Spec{}, inventory.Errorf(inventory.ErrInvalid, "--registry has the unknown type %s", quoted(kind)).
		WithRemedy("use type=artifactory or type=oci")
}

func keyValues(s string, fields []string) (map[string][]string, error) {
	values := map[string][]string{}
	for _, f := range fields {
		if strings.TrimSpace(f) == "" {
			continue
		}
		key, value, ok := strings.Cut(f, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		name, known := registryKeys[key]
		switch {
		case !ok:
			return nil, inventory.Errorf(inventory.ErrInvalid, "--registry %s: %s is no key=value", quoted(s), quoted(f)).
				WithRemedy(`put a value that holds commas in quotes: repository="a,b"`)
		case !known:
			return nil, inventory.Errorf(inventory.ErrInvalid, "--registry %s: unknown key %s", quoted(s), quoted(key)).
				WithRemedy("known are type, registry, api, repository, include, exclude, port, subdomain-mode")
		}
		values[name] = append(values[name], lists([]string{value})...)
	}
	for _, name := range []string{"type", "registry", "api", "port", "subdomain-mode"} {
		if len(values[name]) > 1 {
			return nil, inventory.Errorf(inventory.ErrInvalid, "--registry %s: %s is given more than once", quoted(s), name)
		}
	}
	return values, nil
}

func artifactorySpec(spec Spec, s string, values map[string][]string) (Spec, error) {
	if err := require(s, values, "registry", "api", "repository"); err != nil {
		return Spec{}, err
	}
	for _, key := range values["repository"] {
		if strings.ContainsAny(key, "/:") {
			return Spec{}, inventory.Errorf(inventory.ErrInvalid, "--registry: %s is no repository key", quoted(key)).
				WithRemedy("give the key as repository=… and images as include=KEY/IMAGE")
		}
	}
	in := inventory.Integration{
		Kind: inventory.KindArtifactory, URL: first(values["api"]), Repositories: values["repository"],
		Include: values["include"], Exclude: values["exclude"],
	}
	var err error
	if in.Registry, err = host(first(values["registry"])); err != nil {
		return Spec{}, err
	}
	if v := first(values["subdomain-mode"]); v != "" {
		if in.SubdomainMode, err = strconv.ParseBool(v); err != nil {
			return Spec{}, inventory.Errorf(inventory.ErrInvalid, "--registry: subdomain-mode is %s", quoted(v)).WithRemedy("write true or false")
		}
	}
	if v := first(values["port"]); v != "" {
		if spec.Port, err = strconv.Atoi(v); err != nil || spec.Port < 1 || spec.Port > 65535 {
			return Spec{}, inventory.Errorf(inventory.ErrInvalid, "--registry: port is %s", quoted(v)).WithRemedy("give a number from 1 to 65535")
		}
	}
	in.Name = Name(append([]string{in.Registry}, in.Repositories...)...)
	spec.Integration = in
	return spec, nil
}

func ociSpec(spec Spec, s string, values map[string][]string) (Spec, error) {
	if err := require(s, values, "registry"); err != nil {
		return Spec{}, err
	}
	for _, name := range []string{"port", "subdomain-mode"} {
		if len(values[name]) > 0 {
			spec.Notes = append(spec.Notes, name+" means nothing for a plain registry and is not used")
		}
	}
	made, err := plain(first(values["registry"]), values["repository"])
	if err != nil {
		return Spec{}, err
	}
	made.Notes = append(spec.Notes, made.Notes...)
	in := &made.Integration
	if api := first(values["api"]); api != "" {
		in.URL = api
	}
	in.Exclude = values["exclude"]
	if len(values["include"]) > 0 && len(in.Include) > 0 {
		return Spec{}, inventory.Errorf(inventory.ErrInvalid, "--registry %s has both repository and include", quoted(s)).
			WithRemedy("for a plain registry both name images: use one of them")
	}
	in.Include = append(in.Include, values["include"]...)
	return made, nil
}

// plain is a registry that is only known by its host. Repositories are names of
// images there.
func plain(registry string, repositories []string) (Spec, error) {
	scheme := "https"
	if rest, ok := strings.CutPrefix(registry, "http://"); ok {
		scheme, registry = "http", rest
	}
	registry, err := host(strings.TrimPrefix(registry, "https://"))
	if err != nil {
		return Spec{}, err
	}
	in := inventory.Integration{
		Kind: inventory.KindOCI, URL: scheme + "://" + registry, Registry: registry, Name: Name(registry),
	}
	for _, image := range lists(repositories) {
		in.Include = append(in.Include, literal(strings.TrimPrefix(image, registry+"/")))
	}
	return Spec{Integration: in}, nil
}

func require(s string, values map[string][]string, names ...string) error {
	var missing []string
	for _, name := range names {
		if len(values[name]) == 0 {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return inventory.Errorf(inventory.ErrInvalid, "--registry %s lacks %s", quoted(s), strings.Join(missing, ", ")).
		WithRemedy(`as in "type=artifactory,registry=example.jfrog.io,api=https://example.jfrog.io/artifactory,repository=docker-local"`)
}

// host checks what stands before the first slash of image references.
func host(s string) (string, error) {
	s = strings.ToLower(strings.TrimRight(strings.TrimSpace(s), "/"))
	for _, scheme := range []string{"https://", "http://"} {
		s = strings.TrimPrefix(s, scheme)
	}
	name := s
	if h, port, err := net.SplitHostPort(s); err == nil {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return "", inventory.Errorf(inventory.ErrInvalid, "%s has no valid port", quoted(s))
		}
		name = h
	}
	if name == "" || strings.ContainsAny(s, "/ ,;@?#\"'\\%<>\t\r\n") || inventory.Printable(s) != s {
		return "", inventory.Errorf(inventory.ErrInvalid, "%s is no registry host", quoted(s)).WithRemedy("give host or host:port, as example.jfrog.io")
	}
	return s, nil
}

// lists splits values that hold several, separated by commas or semicolons.
func lists(values []string) []string {
	var out []string
	for _, v := range values {
		for _, part := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ';' }) {
			if part = strings.TrimSpace(part); part != "" && !slices.Contains(out, part) {
				out = append(out, part)
			}
		}
	}
	return out
}

// split cuts at separators outside quotes. Quotes may stand around a whole field
// or a part of it; two of them inside quotes are one.
func split(s string, separator byte) ([]string, error) {
	var out []string
	var field strings.Builder
	inQuotes := false
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case b == '"' && inQuotes && i+1 < len(s) && s[i+1] == '"':
			field.WriteByte('"')
			i++
		case b == '"':
			inQuotes = !inQuotes
		case b == separator && !inQuotes:
			out = append(out, field.String())
			field.Reset()
		default:
			field.WriteByte(b)
		}
	}
	if inQuotes {
		return nil, fmt.Errorf("a quote is not closed")
	}
	return append(out, field.String()), nil
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

func quoted(s string) string {
	const most = 300
	s = inventory.Printable(s)
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return `"` + s + `"`
}
