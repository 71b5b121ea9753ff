package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

type (
	// WhoHas asks which tags hold something.
	WhoHas = inventory.WhoHas
	// Holders is how far that reaches, and the first rows.
	Holders = inventory.Holders
	// Holding is one row: one thing in one tag.
	Holding = inventory.Holding
)

// Explained is why an image has a flaw, or why it has not.
type Explained = inventory.Explained

// Explain answers why an image has a flaw, or why it has not; platform may be empty.
// Errors as of SBOM.
func (c *Client) Explain(ctx context.Context, ref, platform, id string) (Explained, error) {
	q := refQuery(ref, platform)
	q.Set("id", id)
	return get[Explained](ctx, c, "/api/v1/explain", q)
}

type (
	// Assessment is what is known of a bill of materials that the ledger does not hold.
	Assessment = inventory.Assessment
	// Advice is what a base image could be replaced by.
	Advice = inventory.Advice
)

// Assess answers the findings of a bill of materials; nothing of it is kept.
func (c *Client) Assess(ctx context.Context, bom SBOM) (Assessment, error) {
	return call[Assessment](ctx, c, http.MethodPost, "/api/v1/assess", bom)
}

// Recommendations answers newer bases of an image among the known ones.
func (c *Client) Recommendations(ctx context.Context, ref, platform string) (Advice, error) {
	return get[Advice](ctx, c, "/api/v1/recommendations", refQuery(ref, platform))
}

// RecommendationsFor answers what a known base image could be replaced by.
func (c *Client) RecommendationsFor(ctx context.Context, base string) (Advice, error) {
	return get[Advice](ctx, c, "/api/v1/recommendations", url.Values{"base": {base}})
}

func whoHasQuery(ask WhoHas) url.Values {
	q := url.Values{"q": {ask.Query}}
	if ask.Ecosystem != "" {
		q.Set("ecosystem", ask.Ecosystem)
	}
	if ask.AsOf != nil {
		q.Set("as_of", ask.AsOf.UTC().Format(time.RFC3339))
	}
	if ask.Gone {
		q.Set("gone", "true")
	}
	return q
}

// WhoHas answers how many tags hold something, exactly, and the first of them; limit is
// at most 1000.
func (c *Client) WhoHas(ctx context.Context, ask WhoHas, limit int) (Holders, error) {
	q := whoHasQuery(ask)
	q.Set("limit", strconv.Itoa(limit))
	return get[Holders](ctx, c, "/api/v1/who-has", q)
}

// EachHolder answers how far something reaches, and all the rows as they come: up to
// 10,000 by reference, more in the order of the ledger. The rows must be ranged over.
func (c *Client) EachHolder(ctx context.Context, ask WhoHas) (Holders, iter.Seq2[Holding, error], error) {
	q := whoHasQuery(ask)
	q.Set("format", "jsonl")
	res, err := c.do(ctx, http.MethodGet, "/api/v1/who-has", q, nil, "")
	if err != nil {
		return Holders{}, nil, err
	}
	head := Holders{Query: ask.Query, AsOf: ask.AsOf, Note: res.Header.Get("Tallyman-Note")}
	_, err = fmt.Sscanf(res.Header.Get("Tallyman-Reach"), "packages=%d, images=%d, tags=%d", &head.Packages, &head.Images, &head.Tags)
	if err != nil {
		res.Body.Close()
		return head, nil, unreadable("/api/v1/who-has", err)
	}
	return head, lines[Holding](res.Body, "/api/v1/who-has"), nil
}

// lines reads one value a line and closes body.
func lines[T any](body io.ReadCloser, path string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		defer body.Close()
		dec := json.NewDecoder(bufio.NewReader(body))
		for {
			var v T
			err := dec.Decode(&v)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(v, unreadable(path, err))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}
