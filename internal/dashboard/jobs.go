package dashboard

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Jobs is what is queued, and how it fares.
type Jobs interface {
	Counts(ctx context.Context) ([]inventory.JobCount, error)
	// Troubles are the newest jobs whose last attempt failed.
	Troubles(ctx context.Context, limit int) ([]inventory.JobTrouble, error)
	// Retry tries a job now that failed; ErrNotFound when it is none.
	Retry(ctx context.Context, id int64) error
}

type jobRow struct {
	inventory.JobCount
	Word string
}

type troubleRow struct {
	inventory.JobTrouble
	Word string
	Link string // to what it is about
	Name string
}

// troublesShown is how many failed jobs the Activity page lists.
const troublesShown = 20

// jobWord is a kind of job as people call it.
func jobWord(kind string) string {
	if word, ok := map[string]string{
		"look": "Looks at registries", "index": "Images read", "match": "Images matched", "notify": "News put into messages",
		"notify-send": "Messages sent", "notify-clock": "Age of advisories checked",
	}[kind]; ok {
		return word
	}
	return strings.ReplaceAll(kind, "-", " ")
}

// fillJobs adds what is queued to the Activity page.
func (d *Dashboard) fillJobs(ctx context.Context, p *activityPage) error {
	counts, err := d.Jobs.Counts(ctx)
	if err != nil {
		return err
	}
	for _, c := range counts {
		p.Jobs = append(p.Jobs, jobRow{c, jobWord(c.Kind)})
	}
	troubles, err := d.Jobs.Troubles(ctx, troublesShown)
	if err != nil {
		return err
	}
	for _, t := range troubles {
		row := troubleRow{JobTrouble: t, Word: jobWord(t.Kind), Name: t.Subject}
		if strings.HasPrefix(t.Subject, "sha256:") {
			row.Link, row.Name = d.reportLink(t.Subject), shortDigest(t.Subject)
		}
		p.Troubles = append(p.Troubles, row)
	}
	return nil
}

// retryJob tries a job that failed now.
func (d *Dashboard) retryJob(w http.ResponseWriter, r *http.Request, _ visit) error {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return inventory.Errorf(inventory.ErrNotFound, "there is no such job")
	}
	if err := d.Jobs.Retry(r.Context(), id); err != nil {
		return err
	}
	return d.to(w, r, "/activity?done=retry")
}
