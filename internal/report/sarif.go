package report

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const homepage = "https://github.com/tallyman-dev/tallyman"

// writeSARIF writes SARIF 2.1.0: a rule for each flaw, a result for each finding, with
// the properties that code scanning of forges sorts by.
func writeSARIF(w io.Writer, r inventory.Report, o Options) error {
	log := sarif.NewReport()
	run := sarif.NewRunWithInformationURI("Tallyman", homepage)
	if o.Version != "" {
		run.Tool.Driver.WithVersion(o.Version)
	}
	run.WithResults([]*sarif.Result{})
	rules := map[string]int{}
	for _, f := range bySeverity(r.Findings) {
		if f.Exception != nil {
			continue
		}
		index, ok := rules[f.ID]
		if !ok {
			index = len(rules)
			rules[f.ID] = index
			run.Tool.Driver.AddRule(sarifRule(f))
		}
		run.AddResult(sarifResult(r, f, index))
	}
	run.AddInvocation(sarifInvocation(r))
	log.AddRun(run)
	if err := log.PrettyWrite(w); err != nil {
		return fmt.Errorf("write SARIF: %w", err)
	}
	return nil
}

// sarifInvocation says what was not assessed: no result is not the same as no flaw.
func sarifInvocation(r inventory.Report) *sarif.Invocation {
	invocation := sarif.NewInvocation().WithExecutionSuccessful(true)
	for _, u := range r.Unknown {
		invocation.AddToolExecutionNotification(sarif.NewNotification().WithLevel("warning").
			WithMessage(sarif.NewTextMessage(inventory.Printable(u.PURL + ": " + u.Reason))))
	}
	return invocation
}

func sarifRule(f inventory.Finding) *sarif.ReportingDescriptor {
	summary := f.Summary
	if summary == "" {
		summary = f.ID + " in " + f.Package
	}
	properties := sarif.NewPropertyBag()
	properties.Add("security-severity", strconv.FormatFloat(severityScore(f), 'f', 1, 64))
	properties.Add("tags", append([]string{"security", "vulnerability", f.Severity}, f.Aliases...))
	rule := sarif.NewRule(f.ID).WithName("Vulnerability")
	rule.WithShortDescription(sarif.NewMultiformatMessageString().WithText(f.ID + ": " + inventory.Printable(summary)))
	rule.WithFullDescription(sarif.NewMultiformatMessageString().WithText(inventory.Printable(summary)))
	rule.WithHelpURI(link(url.PathEscape(f.ID)))
	rule.WithHelp(sarif.NewMultiformatMessageString().WithText("Severity: " + f.Severity + " " + sourced(f)))
	rule.WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(level(f.Severity)))
	rule.WithProperties(properties)
	return rule
}

// severityScore is the CVSS score, or one that stands for the severity. The severity
// goes first: a distribution's own rating may differ from the score.
func severityScore(f inventory.Finding) float64 {
	low, high := 0.0, 0.0
	switch f.Severity {
	case inventory.Critical:
		low, high = 9, 10
	case inventory.High:
		low, high = 7, 8.9
	case inventory.Medium:
		low, high = 4, 6.9
	case inventory.Low:
		low, high = 0.1, 3.9
	}
	if f.CVSS == nil {
		return low
	}
	return min(max(f.CVSS.Score, low), high)
}

func level(severity string) string {
	switch severity {
	case inventory.Critical, inventory.High:
		return "error"
	case inventory.Medium:
		return "warning"
	}
	return "note"
}

func sarifResult(r inventory.Report, f inventory.Finding, rule int) *sarif.Result {
	path := r.Reference
	if len(f.Locations) > 0 {
		path = strings.TrimLeft(f.Locations[0], "/")
	}
	fix := "no fixed version is known"
	if len(f.FixedVersions) > 0 {
		fix = "fixed in " + strings.Join(f.FixedVersions, ", ")
	}
	message := fmt.Sprintf("%s %s of %s has %s (%s): affected is %s; %s. Layer %d.",
		f.Package, f.Version, r.Reference, f.ID, f.Severity, f.Why.Range, fix, f.Layer)
	physical := sarif.NewPhysicalLocation().
		WithArtifactLocation(sarif.NewSimpleArtifactLocation((&url.URL{Path: path}).EscapedPath())).
		WithRegion(sarif.NewSimpleRegion(1, 1))
	logical := sarif.NewLogicalLocation().WithFullyQualifiedName(f.PURL).WithKind("package")
	properties := sarif.NewPropertyBag()
	properties.Add("purl", f.PURL)
	properties.Add("layer", f.Layer)
	properties.Add("origin", f.Origin)
	properties.Add("kev", f.KEV)
	if f.KEVDue != nil {
		properties.Add("kev_due", day(f.KEVDue))
	}
	if f.EPSS != nil {
		properties.Add("epss", f.EPSS.Score)
		properties.Add("epss_percentile", f.EPSS.Percentile)
	}
	properties.Add("image", r.Reference+"@"+r.Digest)
	result := sarif.NewRuleResult(f.ID).WithRuleIndex(rule).WithLevel(level(f.Severity)).
		WithMessage(sarif.NewTextMessage(inventory.Printable(message))).
		WithPartialFingerprints(map[string]string{"flaw/package": f.ID + "/" + f.Package})
	result.AddLocation(sarif.NewLocation().WithPhysicalLocation(physical).AddLogicalLocation(logical))
	return result.WithProperties(properties)
}
