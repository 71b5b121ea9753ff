package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// maxProblems is how many failed tags of one integration the status names.
const maxProblems = 200

// Status returns the coverage ledger: of every integration and of all together.
func (s *Store) Status(ctx context.Context) (st inventory.Status, err error) {
	err = s.view(ctx, "read the status", func(r reader) error {
		st = inventory.Status{Integrations: []inventory.IntegrationStatus{}}
		st.Requests = map[string]int64{}
		if err := s.integrationStatus(ctx, r, &st); err != nil {
			return err
		}
		st.Advisories, err = s.advisoryStatus(ctx, r)
		return err
	})
	return st, err
}

func (s *Store) integrationStatus(ctx context.Context, r reader, st *inventory.Status) error {
	byID := map[int64]*inventory.IntegrationStatus{}
	var ids []int64
	err := r.each(ctx, `SELECT id, name, state, last_poll, last_reconcile, not_selected, layer_bytes, layers_read FROM integration ORDER BY name`, nil,
		func(rows *sql.Rows) error {
			var id, poll, reconcile int64
			var is inventory.IntegrationStatus
			err := rows.Scan(&id, &is.Name, &is.State, &poll, &reconcile, &is.NotSelected, &is.LayerBytes, &is.LayersRead)
			is.LastPoll, is.LastReconcile, is.Requests, is.Problems = timeOf(poll), timeOf(reconcile), map[string]int64{}, []inventory.TagProblem{}
			byID[id], ids = &is, append(ids, id)
			return err
		})
	if err != nil {
		return err
	}
	for _, fill := range []func(context.Context, reader, map[int64]*inventory.IntegrationStatus) error{fillRequests, s.fillStates, fillProblems, fillLag} {
		if err := fill(ctx, r, byID); err != nil {
			return err
		}
	}
	for _, id := range ids {
		is := byID[id]
		st.Integrations = append(st.Integrations, *is)
		st.Add(is.Tally)
	}
	return nil
}

func fillRequests(ctx context.Context, r reader, byID map[int64]*inventory.IntegrationStatus) error {
	return r.each(ctx, `SELECT integration_id, class, n FROM request`, nil, func(rows *sql.Rows) error {
		var id, n int64
		var class string
		err := rows.Scan(&id, &class, &n)
		if is := byID[id]; is != nil {
			is.Requests[class] = n
		}
		return err
	})
}

// tagsOfState is how many tags of an integration lead to images of one state.
type tagsOfState struct {
	integration int64
	state       string // or "gone"
	n           int
}

func (s *Store) fillStates(ctx context.Context, r reader, byID map[int64]*inventory.IntegrationStatus) error {
	all, err := remembered(ctx, s, r, "states", nil, func() (all []tagsOfState, err error) {
		err = r.each(ctx, `
			SELECT r.integration_id, CASE WHEN t.gone = 0 THEN i.state ELSE 'gone' END, count(*)
			FROM tag t JOIN repository r ON r.id = t.repository_id JOIN image i ON i.id = t.image_id
			GROUP BY 1, 2`, nil, func(rows *sql.Rows) error {
			var one tagsOfState
			err := rows.Scan(&one.integration, &one.state, &one.n)
			all = append(all, one)
			return err
		})
		return all, err
	})
	for _, one := range all {
		is := byID[one.integration]
		if is == nil {
			continue
		}
		switch one.state {
		case "gone":
			is.Gone += one.n
			continue
		case inventory.StateAnalysed:
			is.Analysed += one.n
		case inventory.StateFailed:
			is.Failed += one.n
		case inventory.StateUnsupported:
			is.Unsupported += one.n
		default:
			is.Waiting += one.n
		}
		is.TagsSeen += one.n
	}
	return err
}

func fillProblems(ctx context.Context, r reader, byID map[int64]*inventory.IntegrationStatus) error {
	return r.each(ctx, `
		SELECT r.integration_id, n.registry, n.subdomain_mode, r.key, r.image, t.name, i.problem
		FROM image i JOIN tag t ON t.image_id = i.id JOIN repository r ON r.id = t.repository_id JOIN integration n ON n.id = r.integration_id
		WHERE i.state IN ('failed', 'unsupported') AND i.state <> 'analysed' AND t.gone = 0 ORDER BY r.integration_id, r.key, r.image, t.name`, nil,
		func(rows *sql.Rows) error {
			var id int64
			var registry, tag, problem string
			var subdomain int
			var repo inventory.Repository
			err := rows.Scan(&id, &registry, &subdomain, &repo.Key, &repo.Image, &tag, &problem)
			if is := byID[id]; is != nil && len(is.Problems) < maxProblems {
				ref := repositoryReference(registry, subdomain != 0, repo) + ":" + tag
				is.Problems = append(is.Problems, inventory.TagProblem{Reference: ref, Problem: problem})
			}
			return err
		})
}

// lagSamples is how many of the newest pushes the lag is taken from.
const lagSamples = 1000

// fillLag takes the time from push to analysed over the newest pushes that happened
// while we were looking: what was there before the first look says nothing.
func fillLag(ctx context.Context, r reader, byID map[int64]*inventory.IntegrationStatus) error {
	lags := map[int64][]int64{}
	err := r.each(ctx, `
		SELECT r.integration_id, i.analysed_at - t.pushed
		FROM (SELECT * FROM tag WHERE gone = 0 ORDER BY pushed DESC, id DESC LIMIT ?) t
		JOIN repository r ON r.id = t.repository_id JOIN integration n ON n.id = r.integration_id JOIN image i ON i.id = t.image_id
		WHERE i.analysed_at >= t.pushed AND t.pushed > n.created_at`, []any{lagSamples}, func(rows *sql.Rows) error {
		var id, lag int64
		err := rows.Scan(&id, &lag)
		lags[id] = append(lags[id], lag)
		return err
	})
	for id, list := range lags {
		if is := byID[id]; is != nil {
			slices.Sort(list)
			p50, p95 := list[(len(list)-1)*50/100], list[(len(list)-1)*95/100]
			is.LagP50, is.LagP95 = &p50, &p95
		}
	}
	return err
}

func (s *Store) advisoryStatus(ctx context.Context, r reader) (a inventory.AdvisoryStatus, err error) {
	var newest int64
	err = r.row(ctx, `SELECT count(*), COALESCE(max(modified), 0) FROM advisory`).Scan(&a.Records, &newest)
	if err != nil {
		return a, err
	}
	if a.Feeds, err = s.feeds(ctx, r); err != nil {
		return a, err
	}
	for _, f := range a.Feeds {
		a.Stale = a.Stale || f.Stale
		// Scores are none: they do not make advisories younger.
		if f.Name != "kev" && f.Name != "epss" && f.AgeS != nil && (a.AgeS == nil || *f.AgeS < *a.AgeS) {
			a.AgeS = f.AgeS
		}
	}
	a.Newest = timeOf(newest)
	return a, nil
}

// RepositorySummary is one repository as a list of repositories shows it.
type RepositorySummary struct {
	Integration string           `json:"integration"`
	Key         string           `json:"repository_key"`
	Image       string           `json:"image"`
	Tags        int              `json:"tags"`
	Newest      inventory.TagRow `json:"newest"`
}

// Repositories lists repositories with the tag that was pushed last and what it has,
// in the order of their names, after a name as Next gave it; limit 0 = all.
func (s *Store) Repositories(ctx context.Context, f inventory.TagFilter) (all []RepositorySummary, next string, err error) {
	f.Newest, f.Sort = true, "name"
	page, err := s.Tags(ctx, f)
	if err != nil {
		return nil, "", err
	}
	counts := map[[3]string]int{}
	err = s.view(ctx, "count tags", func(r reader) error {
		ids := make([]int64, len(page.Rows))
		for i, row := range page.Rows {
			ids[i] = row.ID
		}
		return eachIn(ctx, r, `
			SELECT n.name, r.key, r.image, (SELECT count(*) FROM tag x WHERE x.repository_id = r.id AND x.gone = 0)
			FROM tag t JOIN repository r ON r.id = t.repository_id JOIN integration n ON n.id = r.integration_id
			WHERE t.id IN ({in})`, nil, ids, func(rows *sql.Rows) error {
			var name [3]string
			var n int
			err := rows.Scan(&name[0], &name[1], &name[2], &n)
			counts[name] = n
			return err
		})
	})
	all = make([]RepositorySummary, 0, len(page.Rows))
	for _, row := range page.Rows {
		all = append(all, RepositorySummary{
			Integration: row.Integration, Key: row.RepositoryKey, Image: row.Image, Newest: row,
			Tags: counts[[3]string{row.Integration, row.RepositoryKey, row.Image}],
		})
	}
	slices.SortStableFunc(all, func(a, b RepositorySummary) int {
		return cmp.Or(cmp.Compare(a.Integration, b.Integration), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Image, b.Image))
	})
	return all, page.Next, err
}
