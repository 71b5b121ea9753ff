package dashboard

import (
	"errors"
	"net/http"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// settings leads to the page that everybody has.
func (d *Dashboard) settings(w http.ResponseWriter, r *http.Request, _ visit) error {
	return d.to(w, r, "/settings/account")
}

// setting shows one page of the settings; name is its template and its place in the menu.
func (d *Dashboard) setting(w http.ResponseWriter, r *http.Request, v visit, status int, name, title string, page any) error {
	return d.show(w, r, v, status, name, frame{Title: title, Menu: "settings", Tab: name}, page)
}

// redaction tells what is kept out of the ledger. There is nothing to choose.
func (d *Dashboard) redaction(w http.ResponseWriter, r *http.Request, v visit) error {
	return d.setting(w, r, v, http.StatusOK, "redaction", "Redaction", nil)
}

// result is what came of a form: a sentence that it worked, or why it did not.
type result struct {
	Done    string
	Problem string
	Remedy  string
}

// done is the result that the word in the URL stands for.
func done(r *http.Request, sentences map[string]string) result {
	return result{Done: sentences[r.URL.Query().Get("done")]}
}

// refused makes a result of an error that is for whoever filled the form in.
func refused(err error) (result, bool) {
	var told *inventory.Error
	if !errors.As(err, &told) || errors.Is(err, inventory.ErrUnavailable) {
		return result{}, false
	}
	return result{Problem: sentence(told.Msg), Remedy: sentence(told.Remedy)}, true
}
