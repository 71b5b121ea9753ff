package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/config"
	"github.com/tallyman-dev/tallyman/internal/demo"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
)

const (
	demoIntegration = "demo"
	demoUser        = "demo"
	demoPause       = 8 * time.Second // before the late push, so that there is something to watch
	demoPatience    = 5 * time.Minute // with --once: longer than the slowest machine needs
)

func newDemo(a *app) *cobra.Command {
	var once bool
	var format string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show everything on this machine: an Artifactory simulator, its images, the dashboard",
		Long: `Starts an Artifactory simulator on loopback, fills it with images, connects to it as you
would to yours, indexes everything, matches it against a small advisory set, and serves
the dashboard. A few seconds later one new image is pushed, and the page changes by
itself. Everything is removed on Ctrl-C, except what was put into a --data or --database
that you named.

With --once it does the same, prints the tally and ends: exit code 0 if nothing is left
waiting or failed, else 3.`,
		Example: `  tallyman demo
  tallyman demo --once --format json
  tallyman demo --once --database postgres://user@localhost/scratch`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneFormat(cmd, format, "table", "json"); err != nil {
				return err
			}
			if a.cfg.Server != "" {
				return inventory.Errorf(inventory.ErrInvalid, "demo works on a store of its own, not on --server")
			}
			f := cmd.Flags()
			// Only what is typed here: a demo must not end up in the store that the
			// environment names for real work.
			if !f.Changed("database") {
				a.cfg.Database = ""
			}
			if !f.Changed("data") {
				dir, err := os.MkdirTemp("", "tallyman-demo-")
				if err != nil {
					return inventory.Errorf(inventory.ErrUnavailable, "demo: %w", err)
				}
				defer os.RemoveAll(dir)
				a.cfg.Data = dir
			}
			if once && !f.Changed("listen") {
				a.cfg.Listen = "127.0.0.1:0"
			}
			return a.demo(cmd.Context(), once, format)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "print the tally and exit, 0 if waiting = failed = 0, else 3")
	cmd.Flags().StringVar(&format, "format", "table", "of --once: table, or json as tallyman status prints it")
	cmd.Flags().StringVar(&a.listen, "listen", "", "address of the dashboard (default 127.0.0.1:8080)")
	return cmd
}

func (a *app) demo(ctx context.Context, once bool, format string) error {
	a.cfg.AdvisoriesEvery = config.Off
	if a.cfg.Database == "" {
		release, err := a.lockData()
		if err != nil {
			return err
		}
		defer release() //nolint:errcheck // the kernel lets go of it anyway
	}
	p, err := a.openPlatform(ctx)
	if err != nil {
		return err
	}
	defer p.close()
	l, err := listen(ctx, a.cfg.Listen)
	if err != nil {
		return err
	}
	sim, err := startSimulator() //nolint:contextcheck // the simulator lives until it is closed, whatever ends the demo
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer sim.server.Close() //nolint:errcheck // everything of it is gone with the process

	ctx, stop := context.WithCancel(ctx)
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return p.listen(running, l, server{role: roleAll}) })
	g.Go(func() error { return p.work(running, nil) }) // a demo fetches nothing
	tally, err := a.act(running, p, sim, l, once)
	if err == nil && !once {
		<-running.Done()
	}
	stop()
	if worked := g.Wait(); worked != nil && !errors.Is(worked, context.Canceled) {
		return worked
	}
	if err != nil || !once {
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		return err
	}
	if err := a.printStatus(tally, format); err != nil {
		return err
	}
	if tally.Waiting > 0 || tally.Failed > 0 {
		return &codeError{code: exitIncomplete}
	}
	return nil
}

// act is the story of the demo, in the order in which it happens.
func (a *app) act(ctx context.Context, p *platform, sim *simulator, l net.Listener, once bool) (inventory.Status, error) {
	api := p.local()
	fail := func(what string, err error) (inventory.Status, error) {
		return inventory.Status{}, fmt.Errorf("%s: %w", what, err)
	}
	if !once {
		if err := a.welcomeDemo(ctx, api, l); err != nil {
			return fail("sign-in link", err)
		}
	}
	a.say("Artifactory simulator at %s, pushing images …", sim.server.URL())
	if err := sim.fill(ctx); err != nil {
		return fail("fill the simulator", err)
	}
	feed := filepath.Join(a.cfg.Data, "demo-advisories")
	if err := demo.WriteAdvisories(feed); err != nil {
		return fail("advisories", err)
	}
	defer os.RemoveAll(feed)
	if err := p.importFile(ctx, feed); err != nil {
		return fail("advisories", err)
	}
	if err := connectDemo(ctx, api, sim, l.Addr().String()); err != nil {
		return fail("connect", err)
	}
	tags, err := sim.fleet.Tags()
	if err != nil {
		return fail("tags", err)
	}
	st, err := a.settle(ctx, api, len(tags))
	if err != nil {
		return st, err
	}
	a.say("%d tags analysed; %d advisories known", st.Analysed, st.Advisories.Records)
	if !once {
		if err := wait(ctx, demoPause); err != nil {
			return st, err
		}
	}
	ref, err := sim.fleet.PushLate(ctx, sim.target)
	if err != nil {
		return fail("push one more", err)
	}
	a.say("pushed %s: the webhook brings it in", ref)
	if once {
		return a.settle(ctx, api, len(tags)+1)
	}
	a.say("Ctrl-C ends the demo and removes what it made")
	return st, nil
}

// welcomeDemo prints a link that signs in once as an administrator of the demo's own.
func (a *app) welcomeDemo(ctx context.Context, api *client.Client, l net.Listener) error {
	_, err := api.AddUser(ctx, inventory.NewAccount{Name: demoUser, Role: inventory.RoleAdmin})
	if err != nil && !errors.Is(err, inventory.ErrConflict) {
		return err
	}
	link, err := api.CreateSigninLink(ctx, demoUser)
	if err != nil {
		return err
	}
	base := baseOf(l, false)
	fmt.Fprintf(a.stderr, "tallyman serves %s\nsign in once with %s%s\n", base, base, link.Path)
	return nil
}

// connectDemo does what a user does: test, save, and set the webhook up in Artifactory.
func connectDemo(ctx context.Context, api *client.Client, sim *simulator, listen string) error {
	if old, err := api.Integration(ctx, demoIntegration); err == nil {
		if u, err := url.Parse(old.URL); err != nil || u.Hostname() != "127.0.0.1" {
			return inventory.Errorf(inventory.ErrConflict, "this store has an integration named %s that is not a demo's", demoIntegration).
				WithRemedy("give an empty --data or --database")
		}
		if err := api.DeleteIntegration(ctx, demoIntegration); err != nil {
			return err
		}
	} else if !errors.Is(err, inventory.ErrNotFound) {
		return err
	}
	change := inventory.IntegrationChange{
		Integration: inventory.Integration{
			Name: demoIntegration, Kind: inventory.KindArtifactory, URL: sim.server.URL(), Repositories: sim.keys(),
		},
		Secret: sim.token, WebhookSecret: sim.hookSecret,
	}
	result, err := api.TestConnection(ctx, inventory.ConnectionTest{IntegrationChange: change})
	if err != nil {
		return err
	}
	if !result.OK {
		return inventory.Errorf(inventory.ErrUnavailable, "%s", result.Error).WithRemedy("%s", result.Remedy)
	}
	if _, err := api.AddIntegration(ctx, change); err != nil {
		return err
	}
	return sim.subscribe(ctx, "http://"+listen+"/hooks/artifactory/"+demoIntegration)
}

// settle waits until as many tags are seen and none waits any more.
func (a *app) settle(ctx context.Context, api *client.Client, tags int) (inventory.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	bar := a.newProgress("indexing", tags)
	defer bar.done()
	for {
		st, err := api.Status(ctx)
		if err != nil {
			return st, err
		}
		bar.at(st.TagsSeen - st.Waiting)
		if st.TagsSeen >= tags && st.Waiting == 0 {
			return st, nil
		}
		if err := wait(ctx, 150*time.Millisecond); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				return st, nil // the tally tells what is left
			}
			return st, err
		}
	}
}

// wait lets d pass, or ends with ctx.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// say tells people what happens, on stderr.
func (a *app) say(format string, args ...any) {
	if a.cfg.Progress != "none" && a.cfg.Progress != "json" {
		tell(a.stderr, format, args...)
	}
}

// lockData makes the data directory and takes its lock: one process works its jobs.
func (a *app) lockData() (func() error, error) {
	if err := os.MkdirAll(a.cfg.Data, 0o700); err != nil {
		return nil, inventory.Errorf(inventory.ErrForbidden, "data directory %s: %w", a.cfg.Data, err).
			WithRemedy("give a directory that this user (uid %d) may write to with --data", os.Getuid())
	}
	return queue.Lock(a.cfg.Data)
}
