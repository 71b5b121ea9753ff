package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func (l *ledger) Exceptions(context.Context) ([]inventory.Exception, error) {
	return slices.Clone(l.except), l.broken
}

func (l *ledger) SaveExceptions(_ context.Context, list []inventory.Exception) ([]inventory.Exception, error) {
	for i := range list {
		list[i].ID = int64(len(l.except) + 1)
		l.except = append(l.except, list[i])
	}
	return list, nil
}

func (l *ledger) RemoveException(_ context.Context, id int64) error {
	before := len(l.except)
	l.except = slices.DeleteFunc(l.except, func(e inventory.Exception) bool { return e.ID == id })
	if len(l.except) == before {
		return inventory.Errorf(inventory.ErrNotFound, "there is no exception %d", id)
	}
	return nil
}

func (l *ledger) PreviewExceptions(_ context.Context, list []inventory.Exception) (inventory.Hides, error) {
	return inventory.Hides{Findings: len(list), Images: 1}, nil
}

func TestExceptions(t *testing.T) {
	srv := serve(t, newLedger())
	editor := caller{session: "editor"}
	summary := func() inventory.Report {
		_, _, body := call(t, srv, reader, "GET", "/api/v1/cves?ref="+ref, "")
		var rep inventory.Report
		if err := json.Unmarshal([]byte(body), &rep); err != nil {
			t.Fatal(err, body)
		}
		return rep
	}
	post := func(body string) (int, inventory.ExceptionResult, string) {
		status, _, text := call(t, srv, editor, "POST", "/api/v1/exceptions", body)
		var res inventory.ExceptionResult
		if err := json.Unmarshal([]byte(text), &res); err != nil {
			t.Fatal(err, text)
		}
		return status, res, text
	}
	const one = `{"cve":"cve-2026-1","repository":"docker-local/team/*","status":"not_affected","justification":"vulnerable_code_not_present"}`
	status, res, text := post(`{"dry_run":true,"exceptions":[` + one + `]}`)
	if status != 200 || res.Hides.Findings != 1 || len(res.Saved) != 0 || summary().Summary.High != 1 {
		t.Errorf("dry run: %d %s", status, text)
	}
	_, res, text = post(`{"exceptions":[` + one + `]}`)
	if len(res.Saved) != 1 || res.Saved[0].Author != "editor" || res.Saved[0].CVE != "CVE-2026-1" {
		t.Errorf("saved: %s", text)
	}
	rep := summary()
	if rep.Summary.High != 0 || len(rep.Findings) != 1 || rep.Findings[0].Exception == nil || rep.Findings[0].Exception.Status != "not_affected" {
		t.Errorf("excepted: %+v", rep)
	}
	if status, _, body := call(t, srv, reader, "GET", "/api/v1/exceptions", ""); status != 200 || !strings.Contains(body, `"justification":"vulnerable_code_not_present"`) {
		t.Errorf("list: %d %s", status, body)
	}
	if status, _, _ := call(t, srv, editor, "DELETE", fmt.Sprint("/api/v1/exceptions/", res.Saved[0].ID), ""); status != 204 || summary().Summary.High != 1 {
		t.Errorf("removed: %d", status)
	}
	for _, path := range []string{"/api/v1/exceptions/1", "/api/v1/exceptions/x"} {
		if status, _, _ := call(t, srv, editor, "DELETE", path, ""); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestExceptionsThatCannotBeMeant(t *testing.T) {
	srv := serve(t, newLedger())
	for body, say := range map[string]string{
		`{}`: "0 exceptions",
		`{"exceptions":[{"all":true,"status":"fixed"}]}`:                                                "neither a flaw nor a package",
		`{"exceptions":[{"cve":"CVE-1","status":"fixed"}]}`:                                             "does not say where",
		`{"exceptions":[{"cve":"CVE-1","status":"fixed","all":true,"repository":"x"}]}`:                 "more than one place",
		`{"exceptions":[{"cve":"CVE-1","status":"fixed","image":"team/app:1"}]}`:                        "not the digest",
		`{"exceptions":[{"cve":"CVE-1","status":"under_investigation","all":true}]}`:                    "not the status",
		`{"exceptions":[{"cve":"CVE-1","status":"not_affected","all":true}]}`:                           "needs a justification",
		`{"exceptions":[{"cve":"CVE-1","status":"affected","all":true}]}`:                               "needs a reason",
		`{"exceptions":[{"cve":"CVE-1","status":"fixed","justification":"because","all":true}]}`:        "not a justification",
		`{"exceptions":[{"cve":"CVE-1","status":"fixed","all":true,"expires":"2001-01-01T00:00:00Z"}]}`: "expired already",
		`{"exceptions":[{"cve":"` + strings.Repeat("x", 3000) + `","status":"fixed","all":true}]}`:      "longer than",
	} {
		if status, _, text := call(t, srv, administrator, "POST", "/api/v1/exceptions", body); status != 400 || !strings.Contains(text, say) {
			t.Errorf("%.80s: %d %s, want %q", body, status, text, say)
		}
	}
}
