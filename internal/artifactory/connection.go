package artifactory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// AccessFailed begins the sentence that names the repositories which cannot be read.
const AccessFailed = "repository access failed for: "

// expiresSoon is how far ahead a token's end is warned about.
const expiresSoon = 14 * 24 * time.Hour

// Test checks the credential, then every repository key, and says of each that
// fails why and what to try. No keys: all that can be read. It answers in the
// result, never with an error.
func (c *Client) Test(ctx context.Context, keys []string) inventory.TestResult {
	r := inventory.TestResult{Warnings: c.Warnings(), Repositories: []inventory.RepositoryKey{}}
	if err := c.Revalidate(ctx); err != nil {
		r.Error, r.Remedy = c.sentence(err)
		return r
	}
	selected, err := c.Select(ctx, keys)
	if err != nil {
		r.Error, r.Remedy = c.sentence(err)
		return r
	}
	r.Repositories = append(r.Repositories, selected...)
	if len(keys) == 0 && len(selected) == 0 {
		r.Error = "no Docker or OCI repository can be read"
		r.Remedy = "give the user Read on the repositories; Artifactory does not list what a user may not see"
		return r
	}
	r.Error, r.Remedy = keyProblems(selected)
	r.OK = r.Error == ""
	r.Warnings = append(r.Warnings, remoteNotes(selected)...)
	return r
}

// keyProblems is the sentence for the keys that failed, and what to try for each.
func keyProblems(selected []inventory.RepositoryKey) (msg, remedy string) {
	var failed, remedies []string
	for _, k := range selected {
		if !k.OK {
			failed = append(failed, shown(k.Key))
			remedies = append(remedies, fmt.Sprintf("%s: %s; %s", shown(k.Key), k.Error, k.Remedy))
		}
	}
	if len(failed) == 0 {
		return "", ""
	}
	return AccessFailed + strings.Join(failed, ", "), strings.Join(remedies, ". ")
}

func remoteNotes(selected []inventory.RepositoryKey) []string {
	var notes []string
	for _, k := range selected {
		if k.OK && k.Class == ClassRemote {
			notes = append(notes, fmt.Sprintf(
				"%s is a remote repository: what it has cached is read, the rest is \"not cached\"; if cached images are refused, the user also needs Deploy/Cache",
				k.Key))
		}
	}
	return notes
}

// sentence splits an error into what is wrong and what to try.
func (c *Client) sentence(err error) (msg, remedy string) {
	var lock *lockedError
	if errors.As(err, &lock) {
		return AuthenticationFailed, fmt.Sprintf(
			"the account is locked for %d seconds after repeated failures: wait, then try once with the right credential", lock.seconds())
	}
	var e *inventory.Error
	if errors.As(err, &e) {
		return e.Msg, e.Remedy
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("cannot reach %s: connection timed out", c.addr.Host), "check the address, firewall and proxy"
	}
	return err.Error(), ""
}

// Warnings are what works but should be known: plain HTTP, a token about to
// expire, a pasted image reference.
func (c *Client) Warnings() []string {
	w := []string{}
	if c.addr.Insecure {
		w = append(w, "http:// sends the credential unprotected: not recommended, use https://")
	}
	if c.addr.Key != "" {
		w = append(w, fmt.Sprintf("a link or image reference was pasted as the URL: it was read as %s, repository key %q",
			c.addr.URL, shown(c.addr.Key)))
	}
	if left, expires := c.ExpiresIn(); expires && left < expiresSoon {
		when := c.cred.claims.Expires.Format(time.DateOnly)
		if left > 0 {
			w = append(w, fmt.Sprintf("the token expires in %d days, on %s: issue a new one before", int(left.Hours()/24), when))
		} else {
			w = append(w, "the token expired on "+when)
		}
	}
	if c.cred.kind == apiKeySecret {
		w = append(w, "API keys are deprecated by JFrog: use an access token")
	}
	return w
}

// ExpiresIn is how long a JWT is still good for; false where that cannot be known.
func (c *Client) ExpiresIn() (time.Duration, bool) {
	if c.cred.claims.Expires.IsZero() {
		return 0, false
	}
	return c.cred.claims.Expires.Sub(c.opts.Now()), true
}

// Subject is the user that a JWT belongs to; "" where that cannot be known.
func (c *Client) Subject() string { return shown(c.cred.owner()) }
