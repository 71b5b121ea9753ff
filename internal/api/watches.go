package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// WatchStore keeps questions that are asked of every image that comes later.
type WatchStore interface {
	Watches(ctx context.Context) ([]inventory.Watch, error)
	AddWatch(ctx context.Context, w inventory.Watch) (inventory.Watch, error)
	RemoveWatch(ctx context.Context, name string) error
	// Content reads what an image holds, and which of the files (64 hex) are in it.
	Content(ctx context.Context, digest string, files []string) (inventory.ImageContent, error)
	// Spotted records that an image has what a watch looks for, once.
	Spotted(ctx context.Context, w inventory.Watch, digest string) error
}

func watchRoutes() []route {
	return []route{
		{
			method: "GET", path: "/api/v1/watches", need: Read, summary: "Questions to who-has that are asked of every image that comes later",
			status: 200, reply: []inventory.Watch{}, serve: (*API).listWatches,
		},
		{
			method: "POST", path: "/api/v1/watches", need: Edit, summary: "Save a question; a later image that has it is told of once",
			body: inventory.Watch{}, status: 201, reply: inventory.Watch{}, serve: (*API).addWatch,
		},
		{
			method: "DELETE", path: "/api/v1/watches/{name}", need: Edit, summary: "Forget a question",
			status: 204, serve: (*API).removeWatch,
		},
	}
}

func (a *API) listWatches(w http.ResponseWriter, r *http.Request) error {
	all, err := a.store.Watches(r.Context())
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, all)
}

var watchName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (a *API) addWatch(w http.ResponseWriter, r *http.Request) error {
	var asked inventory.Watch
	if err := readJSON(w, r, &asked); err != nil {
		return err
	}
	if !watchName.MatchString(asked.Name) {
		return invalid("%q is no name of a watch", shorten(asked.Name)).WithRemedy("use up to 64 letters, digits, dots, dashes and underscores")
	}
	if len(asked.Ecosystem) > maxQuestion {
		return invalid("the ecosystem is longer than %d bytes", maxQuestion)
	}
	if _, err := readQuestion(asked.Query); err != nil {
		return err
	}
	asked.Author = inventory.ActorOf(r.Context()).Name // of whoever looks at the page, if one asks
	saved, err := a.store.AddWatch(r.Context(), asked)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusCreated, saved)
}

func (a *API) removeWatch(w http.ResponseWriter, r *http.Request) error {
	if err := a.store.RemoveWatch(r.Context(), r.PathValue("name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// AskWatches asks every watch of an image that was analysed: those that were saved
// before. A watch that an older version saved and this one cannot read is skipped.
func (a *API) AskWatches(ctx context.Context, digest string) error {
	all, err := a.store.Watches(ctx)
	if err != nil || len(all) == 0 {
		return err
	}
	questions := make([]question, len(all))
	files := []string{}
	for i, w := range all {
		q, err := readQuestion(w.Query)
		if err != nil {
			a.log.WarnContext(ctx, "watch cannot be read", "watch", w.Name, "error", err)
			continue
		}
		if questions[i] = q; q.kind == askFile {
			files = append(files, q.name)
		}
	}
	content, err := a.store.Content(ctx, digest, files)
	if err != nil || content.Analysed.IsZero() {
		return err
	}
	var faults []error
	for i, w := range all {
		if content.Analysed.Before(w.Created) || !a.has(content, questions[i], w.Ecosystem) {
			continue
		}
		if err := a.store.Spotted(ctx, w, digest); err != nil {
			faults = append(faults, fmt.Errorf("watch %s: %w", w.Name, err))
		}
	}
	return errors.Join(faults...)
}

// has tells whether an image holds what a question asks for.
func (a *API) has(c inventory.ImageContent, q question, ecosystem string) bool {
	switch {
	case q.kind == askFile:
		return c.Files[q.name]
	case q.kind == askFlaw:
		return c.Flaws[q.name]
	case q.name == "" && q.purl == "":
		return false
	}
	for _, p := range c.Packages {
		if !q.named(p) || !inEcosystem(p, ecosystem) {
			continue
		}
		if ok, err := q.holds(p, a.judge.Compare); ok && err == nil {
			return true
		}
	}
	return false
}
