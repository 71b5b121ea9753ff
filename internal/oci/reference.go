package oci

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// ReferenceOptions is how a reference named on the command line is reached.
type ReferenceOptions struct {
	// Transport carries the requests: CA, proxy, retries, accounting. It must not
	// add credentials.
	Transport http.RoundTripper
	PlainHTTP bool
	// Username and Secret are used instead of Docker's credentials.
	Username, Secret string
}

// Reference is an image that a person named.
type Reference struct {
	Source
	Name   string // in full, as docker pull takes it
	Ref    string // tag or digest; what Source.Manifest takes
	Closer func() error
}

// Close releases what the reference holds open.
func (r Reference) Close() error {
	if r.Closer == nil {
		return nil
	}
	return r.Closer()
}

// OpenReference opens what a person named: "oci-dir:PATH[@digest|:tag]",
// "archive:PATH", "registry://REF" or a registry reference.
func OpenReference(ctx context.Context, ref string, o ReferenceOptions) (Reference, error) {
	for prefix, open := range map[string]func(context.Context, string) (Reference, error){
		"oci-dir": openLayoutRef, "archive": openArchiveRef,
	} {
		if p, ok := strings.CutPrefix(ref, prefix+"://"); ok {
			return open(ctx, p)
		}
		if p, ok := strings.CutPrefix(ref, prefix+":"); ok {
			return open(ctx, p)
		}
	}
	return RemoteFromReference(ctx, strings.TrimPrefix(ref, "registry://"), o)
}

func openLayoutRef(_ context.Context, p string) (Reference, error) {
	dir, ref := p, ""
	if i := strings.LastIndex(p, "@sha256:"); i > 0 {
		dir, ref = p[:i], p[i+1:]
	}
	l, err := OpenLayout(dir)
	if err != nil {
		return Reference{}, err
	}
	return Reference{Source: l, Name: "oci-dir:" + p, Ref: ref, Closer: l.Close}, nil
}

func openArchiveRef(ctx context.Context, p string) (Reference, error) {
	a, err := OpenArchive(ctx, p)
	if err != nil {
		return Reference{}, err
	}
	return Reference{Source: a, Name: "archive:" + p, Closer: a.Close}, nil
}

// RemoteFromReference opens a registry reference with the given credentials or
// Docker's own (config.json and its helpers). Credentials go to the registry's
// host and to the token service that it names, and nowhere else.
func RemoteFromReference(ctx context.Context, ref string, o ReferenceOptions) (Reference, error) {
	opts := []name.Option{name.WithDefaultTag("latest")}
	if o.PlainHTTP {
		opts = append(opts, name.Insecure)
	}
	parsed, err := name.ParseReference(ref, opts...)
	if err != nil {
		return Reference{}, inventory.Errorf(inventory.ErrInvalid, "%q is no image reference: %w", clip(ref, 200), err)
	}
	repo := parsed.Context()
	auth, err := credentials(ctx, repo, o)
	if err != nil {
		return Reference{}, err
	}
	rt := o.Transport
	if rt == nil {
		rt = http.DefaultTransport.(*http.Transport).Clone() //nolint:forbidigo // a private copy, nothing shared is used
	}
	authed, err := transport.NewWithContext(ctx, repo.Registry, auth, rt, []string{repo.Scope(transport.PullScope)})
	if err != nil {
		return Reference{}, tokenError("registry "+repo.RegistryStr(), err)
	}
	base := repo.Scheme() + "://" + repo.RegistryStr() + "/v2/" + repo.RepositoryStr()
	return Reference{
		Source: &Remote{Base: base, Client: &http.Client{Transport: authed}},
		Name:   parsed.Name(), Ref: parsed.Identifier(),
	}, nil
}

func credentials(ctx context.Context, repo name.Repository, o ReferenceOptions) (authn.Authenticator, error) {
	if o.Username != "" || o.Secret != "" {
		return &authn.Basic{Username: o.Username, Password: o.Secret}, nil
	}
	auth, err := authn.Resolve(ctx, authn.DefaultKeychain, repo)
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrUnauthorized, "Docker's credentials for %s cannot be read: %w", repo.RegistryStr(), err).
			WithRemedy("check config.json and its credential helper, or give --username and --secret-stdin")
	}
	return auth, nil
}

// tokenError tells a refusal of the registry, or of its token service, from a failure.
func tokenError(what string, err error) error {
	var refused *transport.Error
	if errors.As(err, &refused) {
		switch refused.StatusCode {
		case http.StatusUnauthorized, http.StatusForbidden:
			return inventory.Errorf(inventory.ErrUnauthorized, "reading %s: authentication failed: invalid credentials or insufficient permissions", what).
				WithRemedy("check the user name and its token")
		}
		// Its text holds the address that was asked.
		return inventory.Errorf(inventory.ErrUnavailable, "the token service of %s answered %d", what, refused.StatusCode)
	}
	return transportError(what, withoutURL(err))
}
