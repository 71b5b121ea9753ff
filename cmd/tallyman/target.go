package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/index"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci"
	"github.com/tallyman-dev/tallyman/internal/sbom"
)

// targets says how an image that a command names is reached.
type targets struct {
	platform, username, caFile string
	secretStdin, plainHTTP     bool
	secret                     string // read once, for every image of the command
}

// whatRefs is the help of every command that takes one.
const whatRefs = `REF is a reference as ` + "`tallyman images`" + ` prints it, or KEY/image:tag, or image:tag where only
one repository has it: the ledger answers, no registry is called. A reference with its host
that the ledger does not hold is indexed on the spot, with Docker's credentials or those
given. So are oci-dir:PATH, archive:PATH (docker save, OCI archive) and docker:REF (the
daemon's images). Nothing of them is kept.`

func (t *targets) flags(f *pflag.FlagSet) {
	f.StringVar(&t.platform, "platform", "", "of an index: linux/arm64, …")
	f.StringVar(&t.username, "username", "", "for a registry that is asked on the spot")
	f.BoolVar(&t.secretStdin, "secret-stdin", false, "read its password or token from standard input")
	f.BoolVar(&t.plainHTTP, "plain-http", false, "speak HTTP to it, not HTTPS")
	f.StringVar(&t.caFile, "ca-file", "", "trust the certificates in this file, too")
}

// Ways to name an image.
const (
	byLedger = iota
	bySBOM
	byFile
	byDaemon
)

// way tells how a reference names an image, in our spelling or Docker Scout's.
func way(ref string) (kind int, rest string, err error) {
	for prefix, kind := range map[string]int{"sbom": bySBOM, "oci-dir": byFile, "archive": byFile, "docker": byDaemon, "local": byDaemon} {
		for _, form := range []string{prefix + "://", prefix + ":"} {
			rest, ok := strings.CutPrefix(ref, form)
			if !ok || form == "local:" { // "local:1" is an image
				continue
			}
			if kind == byFile {
				rest = prefix + ":" + rest
			}
			return kind, rest, nil
		}
	}
	if strings.HasPrefix(ref, "fs://") {
		return 0, "", inventory.Errorf(inventory.ErrUnsupported, "%s: directories are not indexed", ref).WithRemedy("name an image, or a bill of materials with sbom:FILE")
	}
	for _, prefix := range []string{"registry://", "image://"} {
		ref = strings.TrimPrefix(ref, prefix)
	}
	return byLedger, ref, nil
}

// report answers the findings of what ref names.
func (a *app) report(ctx context.Context, api *client.Client, ref string, t *targets) (inventory.Report, error) {
	kind, rest, err := way(ref)
	if err != nil {
		return inventory.Report{}, err
	}
	if kind == byLedger {
		rep, err := api.CVEs(ctx, rest, t.platform)
		if !elsewhere(err, rest) {
			return rep, err
		}
	}
	d, err := a.dossier(ctx, api, ref, t)
	return d.Report, err
}

// bom answers the bill of materials of what ref names.
func (a *app) bom(ctx context.Context, api *client.Client, ref string, t *targets) (inventory.SBOM, error) {
	kind, rest, err := way(ref)
	if err != nil {
		return inventory.SBOM{}, err
	}
	if kind == byLedger {
		doc, err := api.SBOM(ctx, rest, t.platform)
		if !elsewhere(err, rest) {
			return doc, err
		}
	}
	d, err := a.dossier(ctx, api, ref, t)
	return d.SBOM, err
}

// elsewhere tells whether an image that the ledger does not hold may be asked of its
// registry: only where the reference names the host.
func elsewhere(err error, ref string) bool {
	host, _, ok := strings.Cut(ref, "/")
	return errors.Is(err, inventory.ErrNotFound) && ok && (strings.ContainsAny(host, ".:") || host == "localhost")
}

// dossier answers everything of what ref names: from the ledger, else indexed on the spot.
func (a *app) dossier(ctx context.Context, api *client.Client, ref string, t *targets) (inventory.Dossier, error) {
	kind, rest, err := way(ref)
	if err != nil {
		return inventory.Dossier{}, err
	}
	switch kind {
	case bySBOM:
		return a.readBOM(ctx, api, rest)
	case byFile:
		return a.indexed(ctx, api, rest, t)
	case byDaemon:
		name, done, err := a.fromDaemon(ctx, rest)
		if err != nil {
			return inventory.Dossier{}, err
		}
		defer done()
		d, err := a.indexed(ctx, api, "archive:"+name, t)
		d.Tag.Reference, d.SBOM.Reference, d.Report.Reference = rest, rest, rest
		return d, err
	}
	d, err := fromLedger(ctx, api, rest, t.platform)
	if elsewhere(err, rest) {
		a.say("%s is not in the ledger: asking its registry", rest)
		return a.indexed(ctx, api, rest, t)
	}
	return d, err
}

// fromLedger puts together what the server says of one image.
func fromLedger(ctx context.Context, api *client.Client, ref, platform string) (d inventory.Dossier, err error) {
	if d.SBOM, err = api.SBOM(ctx, ref, platform); err != nil {
		return d, err
	}
	if d.Report, err = api.CVEs(ctx, ref, platform); err != nil {
		return d, err
	}
	if d.Image, err = api.Image(ctx, d.SBOM.Digest); err != nil {
		return d, err
	}
	d.Tag.Reference = d.SBOM.Reference
	return d, nil
}

// indexed indexes an image on the spot and has it assessed.
func (a *app) indexed(ctx context.Context, api *client.Client, ref string, t *targets) (d inventory.Dossier, err error) {
	o, err := a.reach(t)
	if err != nil {
		return d, err
	}
	src, err := oci.OpenReference(ctx, ref, o)
	if err != nil {
		for _, kind := range []string{"archive:", "oci-dir:"} {
			ref = strings.TrimPrefix(ref, kind)
		}
		return d, about(ref, err)
	}
	defer src.Close() //nolint:errcheck // it was only read
	got, err := index.Local(ctx, src, src.Ref, t.platform, index.Options{Logger: a.log})
	if err != nil {
		return d, about(ref, err)
	}
	d.Image = got.Image
	d.SBOM = sbom.Of(src.Name, got.Image, got.Packages, nil)
	return d, assessed(ctx, api, &d)
}

// assessed has a server (or the local store) say what is wrong with d.
func assessed(ctx context.Context, api *client.Client, d *inventory.Dossier) error {
	told, err := api.Assess(ctx, d.SBOM)
	if err != nil {
		return err
	}
	d.Report, d.SBOM.Base = told.Report, told.Base
	longest := 0
	for _, b := range told.Base {
		longest = max(longest, b.Layers)
	}
	for i := range d.SBOM.Layers {
		d.SBOM.Layers[i].Base = i < longest
	}
	d.Tag.Reference, d.Image.Layers = d.SBOM.Reference, d.SBOM.Layers
	return nil
}

// readBOM reads a bill of materials of any tool, from standard input where no file is named.
func (a *app) readBOM(ctx context.Context, api *client.Client, name string) (d inventory.Dossier, err error) {
	in, reference := a.stdin, "sbom:"+name
	if name != "" && name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return d, inventory.Errorf(inventory.ErrInvalid, "read %s: %w", name, err)
		}
		defer f.Close()
		in = f
	}
	packages, err := sbom.Read(in)
	if err != nil {
		return d, about(reference, err)
	}
	placed := make([]inventory.Placed, len(packages))
	for i, p := range packages {
		placed[i] = inventory.Placed{Package: p, Locations: []string{}}
	}
	d.SBOM = sbom.Of(reference, inventory.Image{}, placed, nil)
	return d, assessed(ctx, api, &d)
}

// reach makes what a registry is asked with.
func (a *app) reach(t *targets) (oci.ReferenceOptions, error) {
	o := oci.ReferenceOptions{PlainHTTP: t.plainHTTP, Username: t.username}
	if t.secretStdin && t.secret == "" {
		secret, err := a.readStdin("password or token")
		if err != nil {
			return o, err
		}
		t.secret = secret
	}
	if o.Secret = t.secret; o.Username != "" && o.Secret == "" {
		return o, inventory.Errorf(inventory.ErrInvalid, "--username needs a secret").WithRemedy("pipe it in with --secret-stdin")
	}
	tr := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 8}
	if t.caFile != "" {
		pem, err := readSmall(t.caFile)
		if err != nil {
			return o, err
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return o, inventory.Errorf(inventory.ErrInvalid, "--ca-file %s holds no certificate", t.caFile).WithRemedy("give a file in PEM")
		}
		tr.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	o.Transport = tr
	return o, nil
}

// readSmall reads a file of at most a few megabytes.
func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrInvalid, "read %s: %w", name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 8<<20))
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrInvalid, "read %s: %w", name, err)
	}
	return b, nil
}
