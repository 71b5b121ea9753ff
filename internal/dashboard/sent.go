package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// sentPage is an example of what is recorded of an image, and with a watcher elsewhere
// is all that it sends.
type sentPage struct {
	Card      card
	Reference string
	Link      string
	Body      string
	Left      int // packages that the example leaves out
	Whole     string
}

// packagesSent is how many packages the example lists.
const packagesSent = 12

// sentRecord is the record of one image.
type sentRecord struct {
	Reference string             `json:"reference"`
	Image     inventory.Image    `json:"image"`
	Packages  []inventory.Placed `json:"packages"`
}

// encode writes the record for people: what is markup elsewhere stays as it is.
func (r sentRecord) encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return nil, fmt.Errorf("encode the record of %s: %w", r.Reference, err)
	}
	return b.Bytes(), nil
}

// sent shows the record of the newest analysed image of an integration, as it is kept.
func (d *Dashboard) sent(w http.ResponseWriter, r *http.Request, v visit) error {
	in, err := d.Hub.Get(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	st, _, err := d.status(r.Context())
	if err != nil {
		return err
	}
	p := sentPage{Card: d.cards([]inventory.Integration{in}, st)[0]}
	tags, err := d.Store.Tags(r.Context(), inventory.TagFilter{Integration: in.Name, State: inventory.StateAnalysed, Sort: "pushed", Limit: 1})
	if err != nil {
		return err
	}
	if len(tags.Rows) > 0 {
		dossier, err := d.Reader.Open(r.Context(), tags.Rows[0].Reference, "")
		if err != nil {
			return err
		}
		record := sentRecord{dossier.Tag.Reference, dossier.Image, dossier.SBOM.Packages}
		if r.URL.Query().Get("download") != "" {
			return recordFile(w, record)
		}
		if err := p.example(d, record); err != nil {
			return err
		}
	}
	return d.show(w, r, v, http.StatusOK, "sent", frame{Title: "What is sent", Menu: "integrations"}, p)
}

func (p *sentPage) example(d *Dashboard, record sentRecord) error {
	p.Reference, p.Link = record.Reference, d.reportLink(record.Reference)
	p.Left = max(0, len(record.Packages)-packagesSent)
	p.Whole = p.Card.Edit + "/sent?download=1"
	record.Packages = record.Packages[:len(record.Packages)-p.Left]
	body, err := record.encode()
	if err != nil {
		return err
	}
	p.Body = string(body)
	if text, cut := clip(p.Body, 40_000); cut {
		p.Body = text + "\n…"
	}
	return nil
}

func recordFile(w http.ResponseWriter, record sentRecord) error {
	body, err := record.encode()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": "tallyman-record.json"}))
	_, _ = w.Write(body)
	return nil
}
