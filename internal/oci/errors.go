package oci

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// statusError turns a refusal into a sentence and its kind. what names the thing
// asked for: "manifest 1.2 of team/app".
func statusError(what string, resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<10))
	if err != nil {
		body = nil // the status alone has to do
	}
	code, msg := firstError(body)
	if strings.Contains(strings.ToLower(string(body)), "blocking policy configured in xray") {
		return inventory.Errorf(inventory.ErrForbidden, "%s is blocked by Xray: a download blocking policy refuses it", what).
			WithRemedy("let the policy ignore Tallyman's user, or leave the repository out")
	}
	said := ""
	if msg != "" {
		said = ": " + msg
	}
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return inventory.Errorf(inventory.ErrUnauthorized, "reading %s: authentication failed: invalid credentials or insufficient permissions", what).
			WithRemedy("check the user name and its token")
	case resp.StatusCode == http.StatusForbidden && code == "UNAUTHORIZED", resp.StatusCode == http.StatusForbidden:
		return inventory.Errorf(inventory.ErrForbidden, "the registry refuses to show %s%s", what, said).
			WithRemedy("give the user read permission on the repository")
	case resp.StatusCode == http.StatusNotFound || code == "BLOB_UNKNOWN" || code == "MANIFEST_UNKNOWN" || code == "NAME_UNKNOWN":
		return inventory.Errorf(inventory.ErrNotFound, "the registry does not have %s", what)
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusRequestTimeout, resp.StatusCode >= 500:
		return inventory.Errorf(inventory.ErrUnavailable, "the registry answered %d for %s%s", resp.StatusCode, what, said)
	}
	return inventory.Errorf(inventory.ErrInvalid, "the registry answered %d for %s%s", resp.StatusCode, what, said)
}

// firstError reads {"errors":[{"code","message"}]}; both are empty where the body
// is something else, a login page for one.
func firstError(body []byte) (code, message string) {
	var doc struct {
		Errors []struct {
			Code    any    `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &doc) != nil || len(doc.Errors) == 0 {
		return "", ""
	}
	code, _ = doc.Errors[0].Code.(string)
	return code, clip(RedactText(doc.Errors[0].Message), 200)
}

// transportError says what a failed exchange means. Everything that time may cure
// is ErrUnavailable; a cancelled context stays what it is.
func transportError(what string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	for _, kind := range []error{inventory.ErrUnavailable, inventory.ErrUnauthorized, inventory.ErrForbidden, inventory.ErrNotFound, inventory.ErrInvalid, inventory.ErrUnsupported} {
		if errors.Is(err, kind) {
			return err
		}
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return inventory.Errorf(inventory.ErrUnavailable, "reading %s took too long: %w", what, err)
	}
	return inventory.Errorf(inventory.ErrUnavailable, "reading %s: %w", what, err)
}
