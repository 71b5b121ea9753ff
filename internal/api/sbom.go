package api

import (
	"bytes"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func (a *API) sbomFormats() []string {
	return append([]string{"json"}, slices.Sorted(maps.Keys(a.sbom))...)
}

func (a *API) getSBOM(w http.ResponseWriter, r *http.Request) error {
	format := r.URL.Query().Get("format")
	writer, ok := a.sbom[format]
	if !ok && format != "" && format != "json" {
		return invalid("%q is not a format of a bill of materials", shorten(format)).
			WithRemedy("use one of: %s", strings.Join(a.sbomFormats(), ", "))
	}
	d, err := a.dossier(r)
	if err != nil {
		return err
	}
	if r.URL.Query().Get("download") != "" {
		w.Header().Set("Content-Disposition", attachment(d, writer.Extension))
	}
	if !ok {
		return reply(w, r, http.StatusOK, d.SBOM)
	}
	var body bytes.Buffer
	if err := writer.Write(&body, d.SBOM); err != nil {
		return fmt.Errorf("write %s as %s: %w", d.Tag.Reference, format, err)
	}
	w.Header().Set("Content-Type", writer.ContentType)
	w.Header().Set("Cache-Control", "private, no-cache")
	if unchanged(w, r, body.Bytes()) {
		return nil
	}
	_, _ = w.Write(body.Bytes())
	return nil
}

// attachment names a file after the image: registries choose those names, so only
// plain characters are kept.
func attachment(d inventory.Dossier, extension string) string {
	if extension == "" {
		extension = "sbom.json"
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._", r) {
			return r
		}
		return '_'
	}, d.Tag.Image+"_"+d.Tag.Tag)
	return mime.FormatMediaType("attachment", map[string]string{"filename": name + "." + extension})
}
