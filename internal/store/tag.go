package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// reference is what docker pull takes for a tag of an integration.
func reference(in inventory.Integration, repo inventory.Repository, tag string) string {
	return repositoryReference(in.Registry, in.SubdomainMode, repo) + ":" + tag
}

func repositoryReference(registry string, subdomain bool, repo inventory.Repository) string {
	switch {
	case repo.Key == "":
		return registry + "/" + repo.Image
	case subdomain:
		return repo.Key + "." + registry + "/" + repo.Image
	}
	return registry + "/" + repo.Key + "/" + repo.Image
}

const tagColumns = `
	SELECT t.id, n.name, n.registry, n.subdomain_mode, r.key, r.image, t.name, i.digest, i.media_type, i.kind, i.platform,
		i.created, t.pushed, t.first_seen, t.last_seen, t.gone,
		i.state, i.problem, i.packages, i.critical, i.high, i.medium, i.low, i.unspecified,
		i.fix_critical, i.fix_high, i.fix_medium, i.fix_low, i.fix_unspecified,
		i.base_name, i.source, i.revision, i.id, i.chain_id, i.score, i.ecosystems`

// tagTables joins what a row is made of and leaves the order to the database.
const tagTables = `
	FROM integration n, repository r, tag t, image i` + tagJoin

const tagJoin = `
	WHERE r.integration_id = n.id AND t.repository_id = r.id AND i.id = t.image_id`

// found is a tag's row and what else is needed to complete it.
type found struct {
	inventory.TagRow
	kind, platform string
	pushed, score  int64
	image, chain   int64
	ecosystems     string // of one without findings
}

func scanTag(rows *sql.Rows) (f found, err error) {
	var c inventory.Counts
	var subdomain int
	var created, firstSeen, lastSeen, gone int64
	fix := &c.FixableBy
	err = rows.Scan(&f.ID, &f.Integration, &f.Registry, &subdomain, &f.RepositoryKey, &f.Image, &f.Tag, (*digest)(&f.Digest), &f.MediaType,
		&f.kind, &f.platform, &created, &f.pushed, &firstSeen, &lastSeen, &gone, &f.State, &f.Problem, &f.Packages,
		&c.Critical, &c.High, &c.Medium, &c.Low, &c.Unspecified, &fix[0], &fix[1], &fix[2], &fix[3], &fix[4],
		&f.Base, &f.Source, &f.Revision, &f.image, &f.chain, &f.score, &f.ecosystems)
	if err != nil {
		return f, err
	}
	repo := inventory.Repository{Key: f.RepositoryKey, Image: f.Image}
	f.Reference = repositoryReference(f.Registry, subdomain != 0, repo) + ":" + f.Tag
	f.Created, f.Pushed, f.FirstSeen, f.LastSeen, f.Gone = timeOf(created), timeOf(f.pushed), fromMillis(firstSeen), fromMillis(lastSeen), timeOf(gone)
	f.Platforms = []string{}
	if f.platform != "" {
		f.Platforms = append(f.Platforms, f.platform)
	}
	if f.State == inventory.StateAnalysed {
		for _, n := range fix {
			c.Fixable += n
		}
		f.Findings = &c
	}
	return f, nil
}

// tagOrder is one way to sort tags: by which columns, and where a row stands among
// them. Walked in the order of its tables (which CROSS JOIN tells SQLite to do), the
// first page needs no sort.
type tagOrder struct {
	tables  string
	skip    string // follows from after, and lets whole repositories be passed over; takes the first values of at
	columns []string
	desc    bool
	at      func(f found) []any
}

func tagOrders(name string) (tagOrder, error) {
	switch name {
	case "", "name":
		return tagOrder{
			tables:  "integration n CROSS JOIN repository r CROSS JOIN tag t CROSS JOIN image i",
			skip:    " AND (n.name > ? OR (r.key, r.image) >= (?, ?))",
			columns: []string{"n.name", "r.key", "r.image", "t.name"},
			at:      func(f found) []any { return []any{f.Integration, f.RepositoryKey, f.Image, f.Tag} },
		}, nil
	case "pushed":
		return tagOrder{
			tables:  "tag t CROSS JOIN image i CROSS JOIN repository r CROSS JOIN integration n",
			columns: []string{"t.pushed", "t.id"}, desc: true,
			at: func(f found) []any { return []any{f.pushed, f.ID} },
		}, nil
	case "severity":
		return tagOrder{
			tables:  "image i CROSS JOIN tag t CROSS JOIN repository r CROSS JOIN integration n",
			columns: []string{"i.score", "i.id", "t.id"}, desc: true,
			at: func(f found) []any { return []any{f.score, f.image, f.ID} },
		}, nil
	}
	return tagOrder{}, inventory.Errorf(inventory.ErrInvalid, "tags cannot be sorted by %q", name).WithRemedy("use name, pushed or severity")
}

func (o tagOrder) orderBy() string {
	if o.desc {
		return " ORDER BY " + strings.Join(o.columns, " DESC, ") + " DESC"
	}
	return " ORDER BY " + strings.Join(o.columns, ", ")
}

func (o tagOrder) after() string {
	op := ">"
	if o.desc {
		op = "<"
	}
	return " AND (" + strings.Join(o.columns, ", ") + ") " + op + " (" + marks(len(o.columns)) + ")"
}

// cursor is where a page ended, and what need not be counted again.
type cursor struct {
	Sort  string `json:"s"`
	At    []any  `json:"a"`
	Total int    `json:"t"`
}

func (c cursor) String() string {
	text, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseCursor(text, sort string, fields int) (c cursor, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		dec := json.NewDecoder(strings.NewReader(string(raw)))
		dec.UseNumber()
		err = dec.Decode(&c)
	}
	if err != nil || c.Sort != sort || len(c.At) != fields || c.Total < 0 {
		return c, inventory.Errorf(inventory.ErrInvalid, "the page cursor is not one of this list").WithRemedy("start again without it")
	}
	for i, v := range c.At {
		switch v := v.(type) {
		case string:
		case json.Number:
			if c.At[i], err = v.Int64(); err != nil {
				return c, inventory.Errorf(inventory.ErrInvalid, "the page cursor is not one of this list").WithRemedy("start again without it")
			}
		default:
			return c, inventory.Errorf(inventory.ErrInvalid, "the page cursor is not one of this list").WithRemedy("start again without it")
		}
	}
	return c, nil
}

// tagWhere makes the conditions of a filter.
func tagWhere(f inventory.TagFilter) (where string, args []any, err error) {
	var b strings.Builder
	add := func(condition string, values ...any) {
		b.WriteString(" AND " + condition)
		args = append(args, values...)
	}
	for _, eq := range []struct{ column, value string }{
		{"n.name", f.Integration}, {"r.key", f.Key}, {"r.image", f.Image}, {"i.state", f.State},
	} {
		if eq.value != "" {
			add(eq.column+" = ?", eq.value)
		}
	}
	if f.State != "" && !slices.Contains([]string{inventory.StateWaiting, inventory.StateAnalysed, inventory.StateFailed, inventory.StateUnsupported}, f.State) {
		return "", nil, inventory.Errorf(inventory.ErrInvalid, "there is no state %q", f.State).WithRemedy("use waiting, analysed, failed or unsupported")
	}
	if f.Name != "" {
		escape := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
		add(`lower(r.key || '/' || r.image || ':' || t.name) LIKE ? ESCAPE '\'`, "%"+escape.Replace(strings.ToLower(f.Name))+"%")
	}
	if f.Severity != "" && !slices.Contains(inventory.Severities[:], f.Severity) {
		return "", nil, inventory.Errorf(inventory.ErrInvalid, "there is no severity %q", f.Severity).WithRemedy("use %s", strings.Join(inventory.Severities[:], ", "))
	}
	switch {
	case f.Severity != "" && f.Fixable:
		add("i.fix_" + f.Severity + " > 0 AND i.state = 'analysed'")
	case f.Severity != "":
		add("i." + f.Severity + " > 0 AND i.state = 'analysed'")
	case f.Fixable:
		add("i.fix_critical + i.fix_high + i.fix_medium + i.fix_low + i.fix_unspecified > 0 AND i.state = 'analysed'")
	}
	if f.KEV {
		add("i.kev > 0 AND i.state = 'analysed'")
	}
	if !f.Gone && f.AsOf == nil {
		add("t.gone = 0")
	}
	if f.Newest {
		add(`t.id = (SELECT o.id FROM tag o WHERE o.repository_id = r.id AND o.gone = 0 ORDER BY o.pushed DESC, o.id DESC LIMIT 1)`)
	}
	return b.String(), args, nil
}

// Tags returns one page of tags. Counts come from a derived table that follows the
// verdicts; the same filter and the cursor of one page give the next.
func (s *Store) Tags(ctx context.Context, f inventory.TagFilter) (inventory.TagPage, error) {
	page := inventory.TagPage{Rows: []inventory.TagRow{}}
	order, err := tagOrders(f.Sort)
	if err != nil {
		return page, err
	}
	where, args, err := tagWhere(f)
	if err != nil {
		return page, err
	}
	then := past{f.AsOf}
	if f.AsOf != nil {
		if f.Newest || f.Sort != "" && f.Sort != "name" {
			return page, inventory.Errorf(inventory.ErrInvalid, "tags as they were are sorted by name, and none is the newest").WithRemedy("leave out sort and newest, or as_of")
		}
		where += pastWhere
		args = append(args, millis(*f.AsOf), millis(*f.AsOf))
	}
	var from cursor
	if f.After != "" {
		if from, err = parseCursor(f.After, f.Sort, len(order.columns)); err != nil {
			return page, err
		}
	}
	s.freshen(ctx)
	err = s.view(ctx, "list tags", func(r reader) error {
		if f.After == "" {
			if from.Total, err = remembered(ctx, s, r, "tags"+where, args, func() (int, error) { return countTags(ctx, r, then, where, args) }); err != nil {
				return err
			}
		}
		page.Total = from.Total
		query, values := then.columns()+" FROM "+then.tables(order.tables)+then.join()+where, slices.Concat(then.args(), args)
		if f.After != "" {
			query, values = query+order.after(), append(values, from.At...)
			query, values = query+order.skip, append(values, from.At[:strings.Count(order.skip, "?")]...)
		}
		query += order.orderBy()
		if f.Limit > 0 {
			query, values = query+` LIMIT ?`, append(values, f.Limit+1)
		}
		rows, err := findTags(ctx, r, query, values)
		if err != nil {
			return err
		}
		if f.Limit > 0 && len(rows) > f.Limit {
			rows = rows[:f.Limit]
			page.Next = cursor{Sort: f.Sort, At: order.at(rows[f.Limit-1]), Total: from.Total}.String()
		}
		page.Rows, err = s.complete(ctx, r, rows)
		return err
	})
	return page, err
}

// countTags joins only what the conditions ask about: counting all tags touches no other table.
func countTags(ctx context.Context, r reader, then past, where string, args []any) (n int, err error) {
	tables, join := then.tables("tag t"), "1 = 1"
	if strings.Contains(where, "r.") || strings.Contains(where, "n.") {
		tables, join = "repository r CROSS JOIN "+tables, join+" AND r.id = t.repository_id"
	}
	if strings.Contains(where, "n.") {
		tables, join = tables+", integration n", join+" AND n.id = r.integration_id"
	}
	if strings.Contains(where, "i.") {
		tables, join = tables+", image i", join+" AND i.id = "+then.image()
	}
	err = r.row(ctx, `SELECT count(*) FROM `+tables+` WHERE `+join+where, slices.Concat(then.args(), args)...).Scan(&n)
	return n, err
}

func findTags(ctx context.Context, r reader, query string, args []any) ([]found, error) {
	all := []found{}
	err := r.each(ctx, query, args, func(rows *sql.Rows) error {
		f, err := scanTag(rows)
		all = append(all, f)
		return err
	})
	return all, err
}

// freshen lets a page that is read see new verdicts, as far as that is quick; the rest
// is counted behind.
func (s *Store) freshen(ctx context.Context) {
	if s.tended.Load() { // somebody counts behind: then only what is soon done
		var n int
		err := s.view(ctx, "measure what is to be counted", func(r reader) error {
			return r.row(ctx, `SELECT count(*) FROM (SELECT 1 FROM stale_chain LIMIT 21) x`).Scan(&n)
		})
		if err == nil && (n == 0 || n > 20) {
			return
		}
	}
	if _, err := s.RefreshCounts(ctx, 60); err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "counts of findings are not up to date", slog.Any("error", err))
	}
}

// complete adds what stands in other tables: the platforms of indexes, and bases.
func (s *Store) complete(ctx context.Context, r reader, rows []found) ([]inventory.TagRow, error) {
	var indexes []int64
	for _, f := range rows {
		if f.kind == inventory.IndexKind {
			indexes = append(indexes, f.image)
		}
	}
	platforms, chains, err := indexParts(ctx, r, indexes)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if rows[i].kind == inventory.IndexKind {
			rows[i].Platforms, rows[i].chain = some(platforms[rows[i].image]), chains[rows[i].image]
		}
	}
	var tops []int64
	for _, f := range rows {
		if f.chain != 0 {
			tops = append(tops, f.chain)
		}
	}
	bases, err := nearestBases(ctx, r, tops)
	if err != nil {
		return nil, err
	}
	if err := s.excuseRows(ctx, r, rows); err != nil {
		return nil, err
	}
	if err := s.assessRows(ctx, r, rows); err != nil {
		return nil, err
	}
	out := make([]inventory.TagRow, len(rows))
	for i, f := range rows {
		if base := bases[f.chain]; base.Reference != "" {
			f.Base = base.Reference
		}
		out[i] = f.TagRow
	}
	return out, nil
}

// indexParts returns the platforms of indexes, and the chain of each one's first Linux member.
func indexParts(ctx context.Context, r reader, indexes []int64) (map[int64][]string, map[int64]int64, error) {
	platforms, chains := map[int64][]string{}, map[int64]int64{}
	err := eachIn(ctx, r, `
		SELECT m.index_id, m.platform, COALESCE(i.chain_id, 0) FROM index_member m LEFT JOIN image i ON i.digest = m.digest
		WHERE m.kind IN ('', 'image') AND m.index_id IN ({in}) ORDER BY m.index_id, m.position`, nil, indexes, func(rows *sql.Rows) error {
		var id, chain int64
		var platform string
		if err := rows.Scan(&id, &platform, &chain); err != nil {
			return err
		}
		if platform != "" && !slices.Contains(platforms[id], platform) {
			platforms[id] = append(platforms[id], platform)
		}
		if chains[id] == 0 && linux(platform) {
			chains[id] = chain
		}
		return nil
	})
	return platforms, chains, err
}

// TagHistory returns which digests a tag pointed to and when, the newest first. While
// it is gone it points to none.
func (s *Store) TagHistory(ctx context.Context, tagID int64) ([]inventory.TagMove, error) {
	moves := []inventory.TagMove{}
	err := s.view(ctx, fmt.Sprintf("read the history of tag %d", tagID), func(r reader) error {
		return r.each(ctx, `
			SELECT i.digest, t.since AS from_at, t.gone AS to_at, 1 AS now FROM tag t JOIN image i ON i.id = t.image_id WHERE t.id = ?
			UNION ALL
			SELECT i.digest, m.from_at, m.to_at, 0 FROM tag_move m JOIN image i ON i.id = m.image_id WHERE m.tag_id = ?
			ORDER BY 4 DESC, 2 DESC`, []any{tagID, tagID}, func(rows *sql.Rows) error {
			var m inventory.TagMove
			var from, to int64
			var now int
			err := rows.Scan((*digest)(&m.Digest), &from, &to, &now)
			m.From, m.To = fromMillis(from), timeOf(to)
			moves = append(moves, m)
			return err
		})
	})
	return moves, err
}
