package artifactory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Classes of repository.
const (
	ClassLocal     = "local"
	ClassRemote    = "remote"
	ClassVirtual   = "virtual"
	ClassFederated = "federated"
)

// IsImageType says whether repositories of a package type hold images.
func IsImageType(packageType string) bool {
	return strings.EqualFold(packageType, "docker") || strings.EqualFold(packageType, "oci")
}

// Repositories lists what the user may see, of every type, by key. Artifactory
// leaves out what the user has no right to: an empty list is no error. A plain
// registry is one repository without a key.
func (c *Client) Repositories(ctx context.Context) ([]inventory.RepositoryKey, error) {
	if c.opts.Kind == inventory.KindOCI {
		_, err := c.ready(ctx)
		return []inventory.RepositoryKey{{OK: true, Listed: true, Class: ClassLocal, PackageType: "oci"}}, err
	}
	rows, err := c.repositoryRows(ctx, "")
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(rows, func(r repositoryRow) bool { return r.PackageType == "" }) {
		if err := c.tellTypes(ctx, rows); err != nil {
			return nil, err
		}
	}
	var out []inventory.RepositoryKey
	for _, r := range rows {
		if r.Key == "" || strings.ContainsAny(r.Key, `/\"`) {
			continue
		}
		out = append(out, inventory.RepositoryKey{
			Key: r.Key, OK: true, Listed: true, Class: r.class(), PackageType: strings.ToLower(r.PackageType), Description: shown(r.Description),
		})
	}
	slices.SortFunc(out, func(a, b inventory.RepositoryKey) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}

// repositoryRow is a repository in a list ("type") or in its configuration ("rclass").
type repositoryRow struct {
	Key         string `json:"key"`
	Type        string `json:"type"`
	Rclass      string `json:"rclass"`
	PackageType string `json:"packageType"`
	Description string `json:"description"`
}

func (r repositoryRow) class() string { return strings.ToLower(cmp.Or(r.Type, r.Rclass)) }

func (c *Client) repositoryRows(ctx context.Context, filter string) (rows []repositoryRow, err error) {
	const most = 64 << 20
	err = c.getJSON(ctx, "/api/repositories"+filter, "list the repositories", most, &rows)
	return rows, err
}

// tellTypes asks for the types that a list leaves out, one by one. A type that the
// server does not know has an empty list.
func (c *Client) tellTypes(ctx context.Context, rows []repositoryRow) error {
	for _, kind := range []string{"docker", "oci"} {
		some, err := c.repositoryRows(ctx, "?packageType="+kind)
		if err != nil && !errors.Is(err, inventory.ErrInvalid) && !errors.Is(err, inventory.ErrNotFound) {
			return err
		}
		for i := range rows {
			if rows[i].PackageType == "" && slices.ContainsFunc(some, func(r repositoryRow) bool { return r.Key == rows[i].Key }) {
				rows[i].PackageType = kind
			}
		}
	}
	return nil
}

// Select finds keys in what the server lists, asking about those that are not
// listed. No keys: every Docker and OCI repository. Each result that is not OK
// says why and what to try.
func (c *Client) Select(ctx context.Context, keys []string) ([]inventory.RepositoryKey, error) {
	listed, err := c.Repositories(ctx)
	if err != nil && (len(keys) == 0 || isTransport(err) || isLocked(err) || !isForbidden(err)) {
		return nil, err
	}
	if len(keys) == 0 || c.opts.Kind == inventory.KindOCI {
		return slices.DeleteFunc(listed, func(r inventory.RepositoryKey) bool { return !IsImageType(r.PackageType) }), nil
	}
	out := make([]inventory.RepositoryKey, len(keys))
	places := make([]int, len(keys))
	for i := range places {
		places[i] = i
	}
	err = each(ctx, places, func(ctx context.Context, i int) error {
		r, err := c.selectKey(ctx, keys[i], listed)
		out[i] = r
		return err
	})
	return out, err
}

func (c *Client) selectKey(ctx context.Context, key string, listed []inventory.RepositoryKey) (inventory.RepositoryKey, error) {
	if suggestion, isReference := c.suggest(key, listed); isReference {
		return inventory.RepositoryKey{
			Key: key, Error: "this is an image reference, not a repository key",
			Remedy: fmt.Sprintf("the key is probably %q", suggestion),
		}, nil
	}
	for _, r := range listed {
		if r.Key != key {
			continue
		}
		if !IsImageType(r.PackageType) {
			r.OK, r.Error = false, fmt.Sprintf("type is %s, not Docker/OCI", r.PackageType)
			r.Remedy = "choose a repository of type Docker or OCI"
			return r, nil
		}
		return c.checkListed(ctx, r)
	}
	return c.selectUnlisted(ctx, key, listed)
}

// checkListed makes sure that a listed repository can be read: any right at all
// puts it on the list. A remote is not asked, because its catalogue is the
// upstream's.
func (c *Client) checkListed(ctx context.Context, r inventory.RepositoryKey) (inventory.RepositoryKey, error) {
	if r.Class == ClassRemote {
		return r, nil
	}
	err := c.checkCatalog(ctx, r)
	if lost := c.lostForGood(ctx, err); lost != nil {
		return r, lost
	}
	if isForbidden(err) {
		r.OK, r.Error, r.Remedy = false, "no permission to read it", "give the user Read on "+r.Key
	}
	return r, nil
}

// suggest is SuggestKey for this registry: a reference may begin with the key as a
// subdomain, and a key that is listed is the likely one.
func (c *Client) suggest(key string, listed []inventory.RepositoryKey) (string, bool) {
	suggestion, isReference := SuggestKey(key)
	if !isReference || hasKey(listed, suggestion) {
		return suggestion, isReference
	}
	host, _, _ := strings.Cut(key[strings.LastIndex(key, "://")+1:], "/")
	label, rest, _ := strings.Cut(strings.TrimLeft(host, "/"), ".")
	if hasKey(listed, label) || label != "" && (strings.EqualFold(rest, c.addr.Host) || strings.EqualFold(rest, c.opts.Registry)) {
		return label, true
	}
	return suggestion, true
}

// selectUnlisted asks about a key that the list lacks: the user may have rights
// on some paths of it only, which does not put it on the list. A catalogue that
// names nothing proves nothing: what may not be read is left out of it.
func (c *Client) selectUnlisted(ctx context.Context, key string, listed []inventory.RepositoryKey) (inventory.RepositoryKey, error) {
	r := inventory.RepositoryKey{Key: key, PackageType: "docker"}
	if known, ok := c.configuration(ctx, key); ok {
		r.Class, r.PackageType, r.Description = known.class(), strings.ToLower(known.PackageType), shown(known.Description)
		if !IsImageType(r.PackageType) {
			r.Error, r.Remedy = fmt.Sprintf("type is %s, not Docker/OCI", r.PackageType), "choose a repository of type Docker or OCI"
			return r, nil
		}
	}
	names, err := c.catalogStart(ctx, r)
	if err == nil && len(names) == 0 {
		err = c.getJSON(ctx, "/api/storage/"+url.PathEscape(key), "look at "+key, 64<<20, &struct{}{})
	}
	if lost := c.lostForGood(ctx, err); lost != nil {
		return r, lost
	}
	if err == nil {
		r.OK = true
		return r, nil
	}
	r.Class, r.PackageType, r.Error = "", "", "not found, or no permission to read it"
	switch {
	case isForbidden(err):
		r.Error = "no permission to read it"
	case errors.Is(err, inventory.ErrUnavailable):
		r.Error, r.Remedy = "it could not be asked for: "+err.Error(), "try again; the server is busy or down"
		return r, nil
	}
	r.Remedy = "check the spelling, and that the user has Read on it"
	if base, isCache := strings.CutSuffix(key, "-cache"); isCache && hasKey(listed, base) {
		r.Remedy = fmt.Sprintf("it is the cache of %q: use that key", base)
	} else if near := nearest(key, listed); near != "" {
		r.Remedy = fmt.Sprintf("did you mean %q? Otherwise check that the user has Read on it", near)
	}
	return r, nil
}

// configuration is what the server tells of one repository; not ok where it does
// not: the call is refused on some editions, and answers 400 to a key that is not.
func (c *Client) configuration(ctx context.Context, key string) (repositoryRow, bool) {
	var row repositoryRow
	err := c.getJSON(ctx, "/api/repositories/"+url.PathEscape(key), "look up "+key, 1<<20, &row)
	return row, err == nil && row.Key == key && row.PackageType != "" && row.class() != ""
}

// lostForGood tells trouble with the server from trouble with one key.
func (c *Client) lostForGood(ctx context.Context, err error) error {
	if ctx.Err() != nil || isTransport(err) || isLocked(err) {
		return err
	}
	return nil
}

func isForbidden(err error) bool {
	return errors.Is(err, inventory.ErrForbidden) || errors.Is(err, inventory.ErrUnauthorized)
}

// checkCatalog asks for a repository's catalogue: whoever may read it gets an answer.
func (c *Client) checkCatalog(ctx context.Context, r inventory.RepositoryKey) error {
	_, err := c.catalogStart(ctx, r)
	return err
}

// catalogStart is the first name in a repository's catalogue, if there is one.
func (c *Client) catalogStart(ctx context.Context, r inventory.RepositoryKey) ([]string, error) {
	const patience = 20 * time.Second // a big catalogue may take longer than anybody wants to wait
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var page struct {
		Repositories []string `json:"repositories"`
	}
	err := c.getJSON(ctx, c.dockerPath(r.Key, r.PackageType)+"/_catalog?n=1", "read the catalogue of "+r.Key, 16<<20, &page)
	return page.Repositories, err
}

// CheckAccess says whether a selected repository can be read at this moment.
func (c *Client) CheckAccess(ctx context.Context, r inventory.RepositoryKey) error {
	if c.opts.Kind == inventory.KindOCI {
		return c.Revalidate(ctx)
	}
	if r.Class != ClassRemote {
		return c.checkCatalog(ctx, r)
	}
	var folder struct {
		Repo string `json:"repo"`
	}
	return c.getJSON(ctx, "/api/storage/"+url.PathEscape(r.Key+"-cache"), "look at the cache of "+r.Key, 64<<20, &folder)
}

// dockerPath is where a repository's registry is, below the API's base.
func (c *Client) dockerPath(key, packageType string) string {
	if c.opts.Kind == inventory.KindOCI {
		return "/v2"
	}
	kind := "docker"
	if strings.EqualFold(packageType, "oci") {
		kind = "oci"
	}
	return "/api/" + kind + "/" + url.PathEscape(key) + "/v2"
}

// Endpoint is where the manifests and blobs of an image are (the base ends in
// /v2/<image>), and the HTTP client to read them with: it carries the
// credential to the hosts that the user named, and to no other.
func (c *Client) Endpoint(key, packageType, image string) (base string, hc *http.Client) {
	return c.guess() + c.dockerPath(key, packageType) + "/" + escapePath(image), c.http
}

func escapePath(p string) string {
	segs := strings.Split(p, "/")
	for i, s := range segs {
		segs[i] = url.PathEscape(s)
	}
	return strings.Join(segs, "/")
}

// Reference is what docker pull takes for a tag (or, with a digest, "image@sha256:…").
func Reference(in inventory.Integration, key, image, tag string) string {
	name := in.Registry + "/" + image
	switch {
	case key != "" && in.SubdomainMode:
		name = key + "." + name
	case key != "":
		name = in.Registry + "/" + key + "/" + image
	}
	if strings.HasPrefix(tag, "sha256:") {
		return name + "@" + tag
	}
	return name + ":" + tag
}

func hasKey(rs []inventory.RepositoryKey, key string) bool {
	return slices.ContainsFunc(rs, func(r inventory.RepositoryKey) bool { return r.Key == key })
}

// nearest is the listed image repository whose key is spelled most alike; "" if
// none is close.
func nearest(key string, listed []inventory.RepositoryKey) string {
	best, least := "", max(2, len(key)/3)+1
	for _, r := range listed {
		if !IsImageType(r.PackageType) {
			continue
		}
		if d := distance(strings.ToLower(key), strings.ToLower(r.Key)); d < least {
			best, least = r.Key, d
		}
	}
	return best
}

// distance counts the insertions, deletions and changes between two words.
func distance(a, b string) int {
	const most = 200
	if len(a) > most || len(b) > most {
		return most
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
