package client

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// problem makes the error that the server told: same kind, same sentence, same remedy.
func problem(res *http.Response) error {
	var told struct {
		Type   string `json:"type"`
		Detail string `json:"detail"`
		Title  string `json:"title"`
		Remedy string `json:"remedy"`
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	isProblem := strings.HasPrefix(res.Header.Get("Content-Type"), "application/problem+json")
	if err != nil || !isProblem || json.Unmarshal(body, &told) != nil {
		e := inventory.Errorf(kindOfStatus(res.StatusCode), "the server answered %s", res.Status)
		if res.StatusCode < 400 || res.StatusCode == http.StatusNotFound {
			return e.WithRemedy("check that --server names a Tallyman")
		}
		return e
	}
	msg := told.Detail
	if msg == "" {
		msg = told.Title
	}
	out := &inventory.Error{Kind: kindOfType(told.Type, res.StatusCode), Msg: msg, Remedy: told.Remedy}
	if res.StatusCode == http.StatusInternalServerError {
		out.Err = errBroken
	}
	return out
}

func kindOfType(urn string, status int) error {
	switch strings.TrimPrefix(urn, "urn:tallyman:problem:") {
	case "not-found":
		return ErrNotFound
	case "invalid", "too-large":
		return ErrInvalid
	case "conflict":
		return ErrConflict
	case "unauthorized":
		return ErrUnauthorized
	case "forbidden":
		return ErrForbidden
	case "unavailable", "internal":
		return ErrUnavailable
	case "unsupported":
		return ErrUnsupported
	}
	return kindOfStatus(status)
}

func kindOfStatus(status int) error {
	switch {
	case status == http.StatusUnauthorized:
		return ErrUnauthorized
	case status == http.StatusForbidden:
		return ErrForbidden
	case status == http.StatusNotFound:
		return ErrNotFound
	case status == http.StatusConflict:
		return ErrConflict
	case status >= 500 || status == http.StatusTooManyRequests:
		return ErrUnavailable
	}
	return ErrInvalid
}
