package api

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// problemURN starts the type of every problem document; the kind follows.
const problemURN = "urn:tallyman:problem:"

// Problem is how an error is told (RFC 9457), with what to do about it.
type Problem struct {
	Type   string `json:"type"` // urn:tallyman:problem:not-found and so on
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

type problemKind struct {
	kind   error
	status int
	name   string
	title  string
	shown  bool // the text of an error of this kind is for the caller even when it is plain
}

func problemKinds() []problemKind {
	return []problemKind{
		{inventory.ErrUnauthorized, http.StatusUnauthorized, "unauthorized", "Not signed in", false},
		{inventory.ErrForbidden, http.StatusForbidden, "forbidden", "Not allowed", false},
		{inventory.ErrNotFound, http.StatusNotFound, "not-found", "Not found", true},
		{inventory.ErrConflict, http.StatusConflict, "conflict", "Conflict", true},
		{inventory.ErrInvalid, http.StatusBadRequest, "invalid", "Invalid", true},
		{inventory.ErrUnsupported, http.StatusUnprocessableEntity, "unsupported", "Unsupported", true},
		{inventory.ErrUnavailable, http.StatusServiceUnavailable, "unavailable", "Unavailable", false},
	}
}

// problemOf turns an error into what the caller may see of it, and says whether the
// cause is ours: then the log has to tell what the answer does not.
func problemOf(err error) (p Problem, ours bool) {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return Problem{
			Type: problemURN + "too-large", Title: "Too large", Status: http.StatusRequestEntityTooLarge,
			Detail: "the body is larger than this route takes",
		}, false
	}
	for _, k := range problemKinds() {
		if !errors.Is(err, k.kind) {
			continue
		}
		p := Problem{Type: problemURN + k.name, Title: k.title, Status: k.status}
		var told *inventory.Error
		switch {
		case errors.As(err, &told):
			p.Detail, p.Remedy = oneLine(told.Msg), oneLine(told.Remedy)
		case k.shown:
			p.Detail = oneLine(err.Error())
		}
		return p, errors.Is(k.kind, inventory.ErrUnavailable)
	}
	return Problem{
		Type: problemURN + "internal", Title: "Internal error", Status: http.StatusInternalServerError,
		Detail: "something went wrong in Tallyman", Remedy: "the log of the server says what",
	}, true
}

// oneLine keeps an error to one line of bounded length: parts of it may come from a
// registry.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 600 {
		s = string(r[:600]) + "…"
	}
	return s
}

// fail answers with the problem that err is.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	p, ours := problemOf(err)
	if ours && r.Context().Err() == nil {
		a.log.ErrorContext(r.Context(), "request failed",
			slog.String("method", r.Method), slog.String("route", r.Pattern), slog.Any("error", err))
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="tallyman"`)
	}
	body, err := json.Marshal(p)
	if err != nil {
		http.Error(w, p.Title, p.Status)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Del("ETag")
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n'))
}
