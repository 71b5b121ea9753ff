package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// ExceptionStore keeps decisions that findings do not count.
type ExceptionStore interface {
	Exceptions(ctx context.Context) ([]inventory.Exception, error)
	// SaveExceptions replaces those of the same scope, and returns them with their ids.
	SaveExceptions(ctx context.Context, list []inventory.Exception) ([]inventory.Exception, error)
	RemoveException(ctx context.Context, id int64) error
	// PreviewExceptions tells what they would hide.
	PreviewExceptions(ctx context.Context, list []inventory.Exception) (inventory.Hides, error)
}

const (
	maxExceptions = 1000 // in one request
	maxText       = 2000 // characters of a field
)

func exceptionRoutes() []route {
	return []route{
		{
			method: "GET", path: "/api/v1/exceptions", need: Read, summary: "Every exception, expired ones too",
			status: 200, reply: []inventory.Exception{}, serve: (*API).listExceptions,
		},
		{
			method: "POST", path: "/api/v1/exceptions", need: Edit, summary: "Except findings, or with dry_run tell what that would hide; one of the same scope is replaced",
			body: inventory.ExceptionChange{}, status: 200, reply: inventory.ExceptionResult{}, serve: (*API).addExceptions,
		},
		{
			method: "DELETE", path: "/api/v1/exceptions/{id}", need: Edit, summary: "Let the findings of an exception count again",
			status: 204, serve: (*API).removeException,
		},
	}
}

func (a *API) listExceptions(w http.ResponseWriter, r *http.Request) error {
	all, err := a.store.Exceptions(r.Context())
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, all)
}

func (a *API) addExceptions(w http.ResponseWriter, r *http.Request) error {
	var change inventory.ExceptionChange
	if err := readJSON(w, r, &change); err != nil {
		return err
	}
	if n := len(change.Exceptions); n == 0 || n > maxExceptions {
		return invalid("%d exceptions in one request", n).WithRemedy("send 1 to %d", maxExceptions)
	}
	author := inventory.ActorOf(r.Context()).Name
	for i := range change.Exceptions {
		e := &change.Exceptions[i]
		e.Author = cmp.Or(e.Author, author)
		if err := checkException(e); err != nil {
			return err
		}
	}
	var out inventory.ExceptionResult
	var err error
	if out.Hides, err = a.store.PreviewExceptions(r.Context(), change.Exceptions); err != nil {
		return err
	}
	if !change.DryRun {
		if out.Saved, err = a.store.SaveExceptions(r.Context(), change.Exceptions); err != nil {
			return err
		}
	}
	return reply(w, r, http.StatusOK, out)
}

func (a *API) removeException(w http.ResponseWriter, r *http.Request) error {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return inventory.Errorf(inventory.ErrNotFound, "there is no exception %q", shorten(r.PathValue("id")))
	}
	if err := a.store.RemoveException(r.Context(), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// checkException tidies what was typed and refuses what cannot be meant.
func checkException(e *inventory.Exception) error {
	for _, field := range []*string{&e.CVE, &e.Package, &e.Product, &e.Repository, &e.Image, &e.Status, &e.Justification, &e.Reason, &e.Author, &e.Source} {
		if *field = strings.TrimSpace(*field); len(*field) > maxText {
			return invalid("a field of the exception is longer than %d characters", maxText)
		}
	}
	if upper := strings.ToUpper(e.CVE); strings.HasPrefix(upper, "CVE-") {
		e.CVE = upper
	}
	if e.CVE == "" && e.Package == "" {
		return invalid("the exception names neither a flaw nor a package").WithRemedy("give a CVE id, a package, or both")
	}
	places := 0
	for _, given := range []bool{e.Repository != "", e.Image != "", e.All} {
		if given {
			places++
		}
	}
	switch {
	case places == 0:
		return invalid("the exception does not say where it holds").WithRemedy("name an image or a repository, or say that it holds for all")
	case places > 1:
		return invalid("the exception says more than one place").WithRemedy("name an image, or a repository, or say that it holds for all")
	case e.Image != "" && !isDigest(e.Image):
		return invalid("%q is not the digest of an image", shorten(e.Image)).WithRemedy("give sha256: and 64 hexadecimal digits")
	case e.Expires != nil && !e.Expires.After(time.Now()):
		return invalid("the exception would be expired already").WithRemedy("give a time that lies ahead")
	}
	return checkStatus(e)
}

func checkStatus(e *inventory.Exception) error {
	if !slices.Contains(inventory.VEXStatuses[:], e.Status) {
		return invalid("%q is not the status of an exception", shorten(e.Status)).
			WithRemedy("use %s (affected: the risk is accepted)", strings.Join(inventory.VEXStatuses[:], ", "))
	}
	if e.Justification != "" && !slices.Contains(inventory.VEXJustifications[:], e.Justification) {
		return invalid("%q is not a justification", shorten(e.Justification)).WithRemedy("use one of %s", strings.Join(inventory.VEXJustifications[:], ", "))
	}
	switch {
	case e.Justification != "" && e.Status != inventory.VEXNotAffected:
		return invalid("a justification goes with not_affected only").WithRemedy("give a reason instead")
	case e.Status == inventory.VEXNotAffected && e.Justification == "" && e.Reason == "":
		return invalid("not_affected needs a justification or a reason").WithRemedy("justifications: %s", strings.Join(inventory.VEXJustifications[:], ", "))
	case e.Status == inventory.VEXAffected && e.Reason == "":
		return invalid("accepting a risk needs a reason")
	}
	return nil
}

func isDigest(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}

// except marks the findings of d that do not count, and why.
func (rd *Reader) except(ctx context.Context, d *inventory.Dossier) error {
	if rd.Exceptions == nil || len(d.Report.Findings) == 0 {
		return nil
	}
	all, err := rd.Exceptions(ctx)
	if err != nil {
		return fmt.Errorf("exceptions: %w", err)
	}
	at := inventory.Where{
		Digests:    []string{d.Image.Digest, d.Tag.Digest},
		Repository: inventory.Repository{Key: d.Tag.RepositoryKey, Image: d.Tag.Image},
	}
	all = slices.DeleteFunc(all, func(e inventory.Exception) bool { return e.Expired || !e.HitsPlace(at) })
	for i := range d.Report.Findings {
		f := &d.Report.Findings[i]
		ids := append([]string{f.ID, f.Advisory.ID}, f.Aliases...)
		for j := range all {
			e := &all[j]
			if e.HitsFlaw(ids...) && e.HitsPackage(f.PURL, f.Package) && (e.Product == "" || beside(d.SBOM.Packages, e.Product, f.Locations)) {
				f.Exception = e
				break
			}
		}
	}
	d.Report.Summary = inventory.Count(d.Report.Findings)
	return nil
}

// beside tells whether a product lies in every one of these files.
func beside(packages []inventory.Placed, product string, locations []string) bool {
	there := map[string]bool{}
	for i := range packages {
		if inventory.SamePackage(product, packages[i].PURL) {
			for _, path := range packages[i].Locations {
				there[path] = true
			}
		}
	}
	for _, path := range locations {
		if !there[path] {
			return false
		}
	}
	return len(there) > 0
}
