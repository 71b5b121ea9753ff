package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func newExceptionAdd(a *app) *cobra.Command {
	var e inventory.Exception
	var image, expires, format string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Let findings not count; says first what that hides",
		Long: `Names a flaw, a package, or a flaw of a package, and where that holds: in one image, in a
repository (KEY, KEY/image or image, with * for anything), or everywhere (--all). An image
is its content: a new push under the same tag is another one.

What it hides is told before it is saved: findings, images, and how many of the findings
are known to be exploited. With --dry-run that is all it does.`,
		Example: `  tallyman exception add --cve CVE-2021-44228 --repository docker-local/team/app --dry-run \
    --status not_affected --justification vulnerable_code_not_in_execute_path
  tallyman exception add --package pkg:deb/debian/perl --all --status affected --expires 90d \
    --reason 'accepted by security, ticket 123'
  tallyman exception add --cve CVE-2023-1 --image team/app:1.0 --status fixed --reason 'patched in the build'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneFormat(cmd, format, "table", "json"); err != nil {
				return err
			}
			ctx := cmd.Context()
			at, err := until(expires, time.Now())
			if err != nil {
				return err
			}
			e.Expires = at
			api, done, err := a.backend(ctx)
			if err != nil {
				return err
			}
			defer done()
			if e.Image, err = digestOfImage(ctx, api, image); err != nil {
				return err
			}
			return a.except(ctx, api, []inventory.Exception{e}, dryRun, format)
		},
	}
	f := cmd.Flags()
	f.StringVar(&e.CVE, "cve", "", "the flaw, by any id")
	f.StringVar(&e.Package, "package", "", "the package: its name, or its purl with or without a version")
	f.StringVar(&e.Repository, "repository", "", "where: KEY, KEY/image or image; * stands for anything")
	f.StringVar(&image, "image", "", "where: an image, by reference or digest")
	f.BoolVar(&e.All, "all", false, "where: everywhere")
	f.StringVar(&e.Status, "status", "", strings.Join(inventory.VEXStatuses[:], ", ")+" (affected: the risk is accepted)")
	f.StringVar(&e.Justification, "justification", "", "of not_affected: "+strings.Join(inventory.VEXJustifications[:], ", "))
	f.StringVar(&e.Reason, "reason", "", "why, in words")
	f.StringVar(&e.Author, "author", "", "who decided (default: who calls)")
	f.StringVar(&expires, "expires", "", "until when: a date, or how long: 90d, 12h (default: never)")
	f.BoolVar(&dryRun, "dry-run", false, "only tell what it would hide")
	f.StringVar(&format, "format", "table", "table or json")
	return cmd
}

// digestOfImage takes a digest as it is, and asks for that of a reference.
func digestOfImage(ctx context.Context, api *client.Client, ref string) (string, error) {
	if ref == "" || strings.HasPrefix(ref, "sha256:") {
		return ref, nil
	}
	row, err := api.Tag(ctx, ref)
	return row.Digest, err
}

// until reads a date, which ends with its day, or a time from now.
func until(s string, now time.Time) (*time.Time, error) {
	if s == "" {
		return nil, nil //nolint:nilnil // no end is what no value means here
	}
	if at, err := moment(s); err == nil {
		return &at, nil
	}
	var d time.Duration
	var err error
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(n) * 24 * time.Hour
		if n > 36500 {
			err = strconv.ErrRange
		}
	} else {
		d, err = time.ParseDuration(s)
	}
	if err != nil || d <= 0 {
		return nil, inventory.Errorf(inventory.ErrInvalid, "%q is no end", s).WithRemedy("write a date (2027-01-31), or how long: 90d, 12h")
	}
	at := now.Add(d).UTC().Truncate(time.Second)
	return &at, nil
}

// exceptStep is how many exceptions go in one request.
const exceptStep = 500

// except tells what exceptions hide, and saves them unless it is a dry run.
func (a *app) except(ctx context.Context, api *client.Client, list []inventory.Exception, dryRun bool, format string) error {
	out := inventory.ExceptionResult{Saved: []inventory.Exception{}}
	for len(list) > 0 {
		n := min(exceptStep, len(list))
		res, err := api.AddExceptions(ctx, inventory.ExceptionChange{Exceptions: list[:n], DryRun: dryRun})
		if err != nil {
			return err
		}
		out.Hides.Findings += res.Hides.Findings
		out.Hides.Flaws += res.Hides.Flaws
		out.Hides.Images += res.Hides.Images
		out.Hides.KEV += res.Hides.KEV
		out.Saved = append(out.Saved, res.Saved...)
		list = list[n:]
	}
	if format == "json" {
		return json.NewEncoder(a.stdout).Encode(out)
	}
	verb := "hides"
	if dryRun {
		verb = "would hide"
	}
	fmt.Fprintf(a.stdout, "%s %d findings of %d flaws in %d images; %d of them known to be exploited\n",
		verb, out.Hides.Findings, out.Hides.Flaws, out.Hides.Images, out.Hides.KEV)
	if !dryRun {
		return a.exceptionTable(out.Saved)
	}
	return nil
}
