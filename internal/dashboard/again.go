package dashboard

import (
	"net/http"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// retry lets an image that failed be tried again, from the Activity page.
func (d *Dashboard) retry(w http.ResponseWriter, r *http.Request, _ visit) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	digest := r.PostFormValue("digest")
	if !strings.HasPrefix(digest, "sha256:") {
		return inventory.Errorf(inventory.ErrInvalid, "no image is named")
	}
	if _, err := d.Store.RetryImage(r.Context(), digest); err != nil {
		return err
	}
	return d.to(w, r, "/activity?done=retry")
}

// remedyOf says what can be done about an image that could not be analysed, where the
// problem does not say it itself.
func remedyOf(state, problem string) string {
	if problem == "" || strings.HasSuffix(problem, ")") {
		return "" // a remedy stands in brackets at the end
	}
	if state == inventory.StateUnsupported {
		return "Nothing to do: it is counted as unsupported, never as clean."
	}
	says := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(problem, w) })
	}
	switch {
	case says("does not have", "not found"):
		return "Push the image again, or delete the tag: the registry lists what it does not hold."
	case says("answered", "too long", "reach", "refused", "again and again"):
		return "It may pass: it is tried again with the next full look; Retry does it now."
	case says("corrupt", "damaged", "digest", "diff ID", "claims", "bytes", "not readable", "not a tar"):
		return "Push the image again: what the registry holds of it is damaged."
	}
	return "Retry it; if it fails again, the log of the server says more."
}
