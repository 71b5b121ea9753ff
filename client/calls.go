package client

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func one(name string) string { return "/api/v1/integrations/" + url.PathEscape(name) }

// Integrations answers every integration, disconnected ones too.
func (c *Client) Integrations(ctx context.Context) ([]Integration, error) {
	return get[[]Integration](ctx, c, "/api/v1/integrations", nil)
}

// Integration answers one integration; ErrNotFound when there is none of that name.
func (c *Client) Integration(ctx context.Context, name string) (Integration, error) {
	return get[Integration](ctx, c, one(name), nil)
}

// AddIntegration saves an integration without testing it, and asks for its first look.
func (c *Client) AddIntegration(ctx context.Context, change IntegrationChange) (Integration, error) {
	return call[Integration](ctx, c, http.MethodPost, "/api/v1/integrations", change)
}

// UpdateIntegration replaces the settings of an integration; blank secrets are kept.
func (c *Client) UpdateIntegration(ctx context.Context, name string, change IntegrationChange) (Integration, error) {
	return call[Integration](ctx, c, http.MethodPut, one(name), change)
}

// DeleteIntegration removes an integration and the data that no other holds.
func (c *Client) DeleteIntegration(ctx context.Context, name string) error {
	return c.drop(ctx, one(name))
}

// PauseIntegration stops looking until ResumeIntegration.
func (c *Client) PauseIntegration(ctx context.Context, name string) (Integration, error) {
	return c.act(ctx, name, "pause")
}

// ResumeIntegration looks again.
func (c *Client) ResumeIntegration(ctx context.Context, name string) (Integration, error) {
	return c.act(ctx, name, "resume")
}

// DisconnectIntegration erases the credentials and keeps the data.
func (c *Client) DisconnectIntegration(ctx context.Context, name string) (Integration, error) {
	return c.act(ctx, name, "disconnect")
}

func (c *Client) act(ctx context.Context, name, what string) (Integration, error) {
	return call[Integration](ctx, c, http.MethodPost, one(name)+"/"+what, nil)
}

// TestIntegration tests the connection of a saved integration.
func (c *Client) TestIntegration(ctx context.Context, name string) (TestResult, error) {
	return call[TestResult](ctx, c, http.MethodPost, one(name)+"/test", nil)
}

// TestConnection tests a connection that is not saved.
func (c *Client) TestConnection(ctx context.Context, test ConnectionTest) (TestResult, error) {
	return call[TestResult](ctx, c, http.MethodPost, "/api/v1/test-connection", test)
}

// ImagesPage answers one page of tags; set After of the filter to Next of the page
// before. The largest page has 1000 rows; a Limit of 0 asks for the server's own size.
func (c *Client) ImagesPage(ctx context.Context, f TagFilter) (TagPage, error) {
	return get[TagPage](ctx, c, "/api/v1/images", imageQuery(f))
}

// Images goes through every tag of a filter, page by page; Limit and After of the
// filter are not used. It ends with the first error.
func (c *Client) Images(ctx context.Context, f TagFilter) iter.Seq2[TagRow, error] {
	f.Limit, f.After = 1000, ""
	return func(yield func(TagRow, error) bool) {
		for {
			page, err := c.ImagesPage(ctx, f)
			if err != nil {
				yield(TagRow{}, err)
				return
			}
			for _, row := range page.Rows {
				if !yield(row, nil) {
					return
				}
			}
			if f.After = page.Next; f.After == "" {
				return
			}
		}
	}
}

func imageQuery(f TagFilter) url.Values {
	q := url.Values{}
	for name, value := range map[string]string{
		"integration": f.Integration, "repository": f.Key, "image": f.Image, "name": f.Name,
		"state": f.State, "severity": f.Severity, "sort": f.Sort, "after": f.After,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, value := range map[string]bool{"fixable": f.Fixable, "gone": f.Gone, "newest": f.Newest} {
		if value {
			q.Set(name, "true")
		}
	}
	if f.AsOf != nil {
		q.Set("as_of", f.AsOf.UTC().Format(time.RFC3339))
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return q
}

// Image answers an image or index by its digest.
func (c *Client) Image(ctx context.Context, digest string) (Image, error) {
	return get[Image](ctx, c, "/api/v1/images/"+url.PathEscape(digest), nil)
}

// Tag answers the tag that a reference names.
func (c *Client) Tag(ctx context.Context, ref string) (TagRow, error) {
	return get[TagRow](ctx, c, "/api/v1/tag", url.Values{"ref": {ref}})
}

// History answers where a tag pointed, and when, newest first.
func (c *Client) History(ctx context.Context, ref string) ([]TagMove, error) {
	return get[[]TagMove](ctx, c, "/api/v1/history", url.Values{"ref": {ref}})
}

// SBOM answers the bill of materials of an image; platform may be empty.
// ErrUnavailable when the image still waits, ErrUnsupported when it could not be analysed.
func (c *Client) SBOM(ctx context.Context, ref, platform string) (SBOM, error) {
	return get[SBOM](ctx, c, "/api/v1/sbom", refQuery(ref, platform))
}

// WriteSBOM writes the bill of materials as the server makes it in a format, such as
// cyclonedx; Version lists the formats.
func (c *Client) WriteSBOM(ctx context.Context, w io.Writer, ref, platform, format string) error {
	q := refQuery(ref, platform)
	q.Set("format", format)
	res, err := c.do(ctx, http.MethodGet, "/api/v1/sbom", q, nil, "")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(w, io.LimitReader(res.Body, maxAnswer)); err != nil {
		return fmt.Errorf("read the bill of materials of %s: %w", ref, err)
	}
	return nil
}

// Payload answers what a far watcher would send of an image to a server that knows
// nothing of it; platform may be empty.
func (c *Client) Payload(ctx context.Context, ref, platform string) (Payload, error) {
	return get[Payload](ctx, c, "/api/v1/payload", refQuery(ref, platform))
}

// CVEs answers the findings of an image; platform may be empty. Errors as of SBOM.
func (c *Client) CVEs(ctx context.Context, ref, platform string) (Report, error) {
	return get[Report](ctx, c, "/api/v1/cves", refQuery(ref, platform))
}

func refQuery(ref, platform string) url.Values {
	q := url.Values{"ref": {ref}}
	if platform != "" {
		q.Set("platform", platform)
	}
	return q
}

// Status answers the coverage ledger.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "/api/v1/status", nil)
}

// Advisories answers what is known of advisories.
func (c *Client) Advisories(ctx context.Context) (AdvisoryStatus, error) {
	return get[AdvisoryStatus](ctx, c, "/api/v1/advisories", nil)
}

// SyncAdvisories lets the server bring every feed up to date soon, and does not wait for it.
func (c *Client) SyncAdvisories(ctx context.Context) error {
	res, err := c.do(ctx, http.MethodPost, "/api/v1/advisories/sync", nil, nil, "")
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// ImportAdvisories sends a file of advisories; its content says what it is.
func (c *Client) ImportAdvisories(ctx context.Context, file io.Reader) (AdvisoryStatus, error) {
	var st AdvisoryStatus
	res, err := c.do(ctx, http.MethodPost, "/api/v1/advisories/import", nil, file, "application/octet-stream")
	if err != nil {
		return st, err
	}
	defer res.Body.Close()
	err = decode(res.Body, "/api/v1/advisories/import", &st)
	return st, err
}

// Tokens lists the tokens of machines, without their secrets.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	return get[[]Token](ctx, c, "/api/v1/tokens", nil)
}

// CreateToken makes a token; its secret is in the answer and nowhere else.
func (c *Client) CreateToken(ctx context.Context, want NewToken) (TokenSecret, error) {
	return call[TokenSecret](ctx, c, http.MethodPost, "/api/v1/tokens", want)
}

// RevokeToken ends a token.
func (c *Client) RevokeToken(ctx context.Context, name string) error {
	return c.drop(ctx, "/api/v1/tokens/"+url.PathEscape(name))
}

// RequeueToken has everything indexed again that only a token vouched for, which may be
// revoked already.
func (c *Client) RequeueToken(ctx context.Context, name string) (Requeued, error) {
	return call[Requeued](ctx, c, http.MethodPost, "/api/v1/tokens/"+url.PathEscape(name)+"/requeue", nil)
}

// CreateSigninLink makes a one-time link into the dashboard for a user; with no name, one
// for whoever sets the server up, ErrConflict when that is done.
func (c *Client) CreateSigninLink(ctx context.Context, user string) (SigninLink, error) {
	return call[SigninLink](ctx, c, http.MethodPost, "/api/v1/signin-links", inventory.NewSigninLink{User: user})
}

// Caller answers who the server takes this client for.
func (c *Client) Caller(ctx context.Context) (Caller, error) {
	return get[Caller](ctx, c, "/api/v1/me", nil)
}

// Version answers what runs on the server.
func (c *Client) Version(ctx context.Context) (Version, error) {
	return get[Version](ctx, c, "/api/v1/version", nil)
}
