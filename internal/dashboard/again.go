package dashboard

import (
	"net/http"
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
