package artifactorytest

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
)

// dockerTarget is what a docker path asks for.
type dockerTarget struct {
	verb  string // check, catalog, token, promote, tags, manifest, blob, upload, referrers, unknown
	image string
	ref   string // tag, digest, or upload id
}

// parseDocker reads what follows /v2/, the repository key taken off.
func parseDocker(rest string) dockerTarget {
	switch rest {
	case "":
		return dockerTarget{verb: "check"}
	case "_catalog":
		return dockerTarget{verb: "catalog"}
	case "token", "promote":
		return dockerTarget{verb: rest}
	}
	if image, ok := strings.CutSuffix(rest, "/tags/list"); ok {
		return dockerTarget{verb: "tags", image: image}
	}
	if image, ok := strings.CutSuffix(rest, "/blobs/uploads"); ok {
		return dockerTarget{verb: "upload", image: image}
	}
	for _, v := range []struct{ part, verb string }{
		{"/blobs/uploads/", "upload"}, {"/blobs/", "blob"}, {"/manifests/", "manifest"}, {"/referrers/", "referrers"},
	} {
		if i := strings.LastIndex(rest, v.part); i > 0 {
			ref := rest[i+len(v.part):]
			if !strings.Contains(ref, "/") {
				return dockerTarget{verb: v.verb, image: rest[:i], ref: ref}
			}
		}
	}
	return dockerTarget{verb: "unknown"}
}

// routeDockerRoot routes /v2/...: the repository is in the port, in the host
// name, or the first part of the path.
func (c *call) routeDockerRoot(rest string) func() {
	c.prefix = "/v2/"
	if c.port != "" {
		c.key = c.port
	} else if rest != "" && rest != "token" || c.sw.Access == SubdomainAccess {
		c.key = c.keyOfHost()
	}
	if c.key == "" && c.sw.Access != SubdomainAccess && rest != "" && rest != "token" {
		c.key, rest, _ = strings.Cut(rest, "/")
		c.prefix = "/v2/" + c.key + "/"
	}
	return c.routeDocker(rest)
}

// routeDockerDirect routes api/docker/KEY/v2/..., which works in every mode.
func (c *call) routeDockerDirect(kind, rest string) func() {
	c.direct = true
	key, after, _ := strings.Cut(rest, "/")
	if key == "v2" {
		key, after = "", rest
	}
	tail, ok := strings.CutPrefix(after+"/", "v2/")
	if !ok {
		return c.notFound
	}
	tail = strings.TrimSuffix(tail, "/")
	if strings.HasSuffix(after, "/blobs/uploads/") {
		tail += "/"
	}
	c.key = key
	c.prefix = c.sw.Context + "/api/" + kind + "/" + key + "/v2/"
	if key == "" {
		c.prefix = c.sw.Context + "/api/" + kind + "/v2/"
	}
	if key == "null" {
		c.key = ""
	}
	return c.routeDocker(tail)
}

// keyOfHost is the first label of the host name, where the rules of the
// product take it for a repository.
func (c *call) keyOfHost() string {
	if c.sw.Access == PathAccess {
		return ""
	}
	host := c.r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.Count(host, ".") < 2 || net.ParseIP(host) != nil {
		return ""
	}
	label, _, _ := strings.Cut(host, ".")
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	if c.sw.Access == AnyAccess && c.s.repo(label) == nil {
		return ""
	}
	return label
}

func (c *call) routeDocker(rest string) func() {
	c.target = parseDocker(rest)
	write := c.r.Method != http.MethodGet && c.r.Method != http.MethodHead
	switch v := c.target.verb; {
	case v == "check", v == "promote", v == "unknown":
		c.class = ClassDocker
	case v == "token":
		c.class = ClassToken
	case v == "catalog":
		c.class = ClassCatalog
	case v == "tags":
		c.class = ClassTags
	case v == "referrers":
		c.class = ClassReferrers
	case write, v == "upload":
		c.class = ClassPush
	case v == "blob":
		c.class = c.s.blobClass(c.target.ref)
	case c.r.Method == http.MethodHead:
		c.class = ClassManifestHead
	default:
		c.class = ClassManifestGet
	}
	return c.docker
}

// blobClass tells configs from layers.
func (s *Server) blobClass(digest string) string {
	hex, _ := hexOf(digest)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.configs[hex] {
		return ClassConfig
	}
	return ClassLayer
}

// docker answers a docker path.
func (c *call) docker() {
	c.w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if c.target.verb == "token" {
		c.dockerToken()
		return
	}
	if !c.dockerSignIn() {
		return
	}
	if c.target.verb == "check" && c.key == "" {
		c.dockerCheck()
		return
	}
	repo := c.dockerRepo()
	if repo == nil {
		c.nameUnknown(joinPath(c.key, c.target.image))
		return
	}
	switch c.target.verb {
	case "check":
		c.dockerCheck()
	case "catalog":
		c.catalog(repo)
	case "tags":
		c.tags(repo)
	case "manifest":
		c.manifest(repo)
	case "blob":
		c.blob(repo)
	case "upload":
		c.upload(repo)
	case "referrers":
		c.referrers(repo)
	case "promote":
		c.promote(repo)
	default:
		c.notFound()
	}
}

// dockerRepo is the repository of the path, if it holds images and is served here.
func (c *call) dockerRepo() *repository {
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	r := c.s.repo(c.key)
	if r == nil || !r.isImages() {
		return nil
	}
	if c.direct && c.sw.StrictTypePath && !strings.Contains(c.prefix, "/api/"+r.Type+"/") {
		return nil
	}
	return r
}

func (c *call) dockerCheck() {
	if c.sw.PingBody == "" {
		c.w.Header().Set("Content-Length", "0")
		c.w.WriteHeader(http.StatusOK)
		return
	}
	c.bytes(http.StatusOK, "application/json", []byte(c.sw.PingBody))
}

// dockerSignIn authenticates a docker request; the challenge names the token
// endpoint, without a scope.
func (c *call) dockerSignIn() bool {
	id, no := c.s.authenticate(c.r, &c.sw, true)
	if no == nil && c.sw.TagsRefuseBearer && c.target.verb == "tags" && c.isDockerToken() {
		no = &refusal{status: http.StatusUnauthorized, message: msgUnknown}
	}
	switch {
	case no == nil:
		c.id = id
		return true
	case no.missing:
		c.w.Header().Set("WWW-Authenticate", c.bearerChallenge())
		c.code(http.StatusUnauthorized, "UNAUTHORIZED", "authentication required", nil)
	case no.basic && !c.sw.BadBasicBearer:
		c.refuse(no, basicChallenge)
	default:
		c.refuse(no, c.bearerChallenge())
	}
	return false
}

func (c *call) isDockerToken() bool {
	cred := credentialOf(c.r)
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	t := c.s.tokens[cred.secret]
	return cred.kind == "bearer" && t != nil && t.docker
}

func (c *call) bearerChallenge() string {
	scheme, path := c.scheme(), c.prefix+"token"
	if c.sw.RealmScheme != "" {
		scheme = c.sw.RealmScheme
	}
	switch {
	case c.sw.RealmPath != "":
		path = c.sw.RealmPath
	case !c.direct:
		path = "/v2/token"
	}
	return `Bearer realm="` + scheme + "://" + c.r.Host + path + `",service="` + c.r.Host + `"`
}

// code answers in the docker shape of errors, which is compact.
func (c *call) code(status int, code, message string, detail any) {
	type one struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Detail  any    `json:"detail"`
	}
	raw, err := json.Marshal(map[string]any{"errors": []one{{code, message, detail}}})
	if err != nil {
		http.Error(c.w, err.Error(), http.StatusInternalServerError)
		return
	}
	contentType := "application/json"
	if status == http.StatusUnauthorized {
		contentType = "application/json;charset=ISO-8859-1"
	}
	c.bytes(status, contentType, raw)
}

func (c *call) nameUnknown(name string) {
	c.code(http.StatusNotFound, "NAME_UNKNOWN", "Repository name not known to registry.", map[string]string{"name": name})
}

func (c *call) manifestUnknown(image string) {
	c.code(http.StatusNotFound, "MANIFEST_UNKNOWN", "The named manifest is not known to the registry.",
		map[string]string{"manifest": image})
}

func (c *call) blobUnknown(digest string) {
	c.code(http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry", map[string]string{"blobSum": digest})
}

// denied answers a missing permission on a docker path.
func (c *call) denied(what, key, value, reason string) {
	if c.sw.HideUnauthorized && reason == "" {
		c.hidden()
		return
	}
	message := "The client does not have permission " + what
	if reason != "" {
		message += ": " + reason
	}
	status := http.StatusForbidden
	if c.sw.MissingIs401 && reason == "" {
		status = http.StatusUnauthorized
		c.w.Header().Set("WWW-Authenticate", c.bearerChallenge())
	}
	c.code(status, "UNAUTHORIZED", message, map[string]string{key: value})
}

// hidden answers as if what may not be read were not there.
func (c *call) hidden() {
	switch c.target.verb {
	case "blob":
		c.blobUnknown(c.target.ref)
	case "catalog", "tags":
		c.nameUnknown(joinPath(c.key, c.target.image))
	default:
		c.manifestUnknown(c.target.image)
	}
}

// plainAccept answers 406 where the Accept header asks for manifests of a list.
func (c *call) plainAccept() bool {
	accept := strings.Join(c.r.Header.Values("Accept"), ",")
	if accept == "" {
		return true
	}
	for part := range strings.SplitSeq(accept, ",") {
		kind, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		switch strings.ToLower(kind) {
		case "*/*", "application/*", "application/json":
			return true
		}
	}
	c.status(http.StatusNotAcceptable, "Not Acceptable")
	return false
}
