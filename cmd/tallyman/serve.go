package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/tallyman-dev/tallyman/internal/config"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
)

// Roles of a serving process.
const (
	roleAll    = "all"
	roleWeb    = "web"
	roleWorker = "worker"
)

// syncTime is what one synchronisation of all feeds may take, matching included.
const syncTime = 4 * time.Hour

func newServe(a *app) *cobra.Command {
	var role, tlsCert, tlsKey string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Watch, index, match, and serve the pages and the API",
		Long: `Runs everything in one process over the store in the data directory, or over PostgreSQL
(--database), where any number of processes may share the work (--role worker).
At first start it prints a link that makes the administrator; ` + "`tallyman token link`" + ` prints
another. With TALLYMAN_ADMIN_PASSWORD_FILE an administrator named admin is made instead.`,
		Example: `  tallyman serve
  tallyman serve --listen 0.0.0.0:8080 --tls-cert cert.pem --tls-key key.pem
  tallyman serve --advisories-every off
  tallyman serve --database postgres://tallyman@db/tallyman --role worker`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.cfg.Server != "" {
				return inventory.Errorf(inventory.ErrInvalid, "serve works on its own store, not on --server")
			}
			if role != roleAll && role != roleWeb && role != roleWorker {
				return inventory.Errorf(inventory.ErrInvalid, "unknown role %q", role).WithRemedy("use all, web or worker")
			}
			if (tlsCert == "") != (tlsKey == "") {
				return inventory.Errorf(inventory.ErrInvalid, "--tls-cert and --tls-key go together")
			}
			err := a.serve(cmd.Context(), server{role: role, tlsCert: tlsCert, tlsKey: tlsKey})
			if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
				return nil //nolint:nilerr // being told to stop is no failure, however early
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&a.listen, "listen", "", "address of the pages and the API (default 127.0.0.1:8080)")
	f.StringVar(&role, "role", roleAll, "all, web (pages and API only) or worker (jobs only)")
	f.StringVar(&a.advisoriesEvery, "advisories-every", "", "how often advisories are synchronised, or off (default 6h)")
	f.IntVar(&a.workers, "workers", 0, "images indexed at a time (default 3)")
	f.StringVar(&a.bandwidth, "max-bandwidth", "", "bytes a second that downloads from one registry may take, as 500K or 10M")
	f.StringVar(&tlsCert, "tls-cert", "", "PEM certificate chain: serve HTTPS")
	f.StringVar(&tlsKey, "tls-key", "", "PEM key of --tls-cert")
	return cmd
}

// server is how one process serves.
type server struct {
	role            string
	tlsCert, tlsKey string
}

// serve runs until ctx ends, then lets go gracefully.
func (a *app) serve(ctx context.Context, s server) error {
	// The lock comes first: a second process must not even open the ledger to work it.
	if s.role != roleWeb && a.cfg.Database == "" {
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
	g, ctx := errgroup.WithContext(ctx)
	if s.role != roleWorker {
		l, err := listen(ctx, a.cfg.Listen)
		if err != nil {
			return err
		}
		if err := a.welcome(ctx, p, l, s.tlsCert != ""); err != nil {
			return err
		}
		g.Go(func() error { return p.listen(ctx, l, s) })
	}
	if s.role != roleWeb {
		feeds, err := a.feeding(p)
		if err != nil {
			return err
		}
		g.Go(func() error { return feeds.keep(ctx) })
		g.Go(func() error {
			return p.work(ctx, queue.Handlers{jobSync: {Do: feeds.do, Workers: 1, Timeout: syncTime, MaxAttempts: 1}})
		})
	}
	return g.Wait()
}

// firstUser is the administrator that TALLYMAN_ADMIN_PASSWORD makes.
const firstUser = "admin"

// welcome prints where the pages are and how to get in: the first time with a link that
// makes the administrator, unless the environment does.
func (a *app) welcome(ctx context.Context, p *platform, l net.Listener, secure bool) error {
	base := a.publicOr(baseOf(l, secure))
	fmt.Fprintf(a.stderr, "tallyman serves %s\n", base)
	needed, err := p.store.NeedsSetup(ctx)
	if err != nil {
		return err
	}
	if needed {
		if needed, err = a.firstAdmin(ctx, p); err != nil {
			return err
		}
	}
	if !needed {
		fmt.Fprintf(a.stderr, "sign in at %s/signin\n", base)
		return nil
	}
	link, err := p.local().CreateSigninLink(ctx, "")
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "set it up at %s%s\n(good once, until %s; `tallyman token link` prints another)\n",
		base, link.Path, link.Expires.UTC().Format(time.RFC3339))
	return nil
}

// firstAdmin makes the administrator whose password the environment holds, and tells
// whether one is still needed.
func (a *app) firstAdmin(ctx context.Context, p *platform) (needed bool, err error) {
	password, err := config.Secret(a.env, "TALLYMAN_ADMIN_PASSWORD")
	if err != nil || password == "" {
		return true, err
	}
	_, err = p.local().AddUser(ctx, inventory.NewAccount{Name: firstUser, Role: inventory.RoleAdmin, Password: password})
	var told *inventory.Error
	switch {
	case errors.Is(err, inventory.ErrConflict): // another process was first
		return false, nil
	case errors.As(err, &told):
		return true, inventory.Errorf(told.Kind, "TALLYMAN_ADMIN_PASSWORD: %s", told.Msg).WithRemedy("%s", told.Remedy)
	case err != nil:
		return true, err
	}
	fmt.Fprintf(a.stderr, "made the administrator %s with the password of TALLYMAN_ADMIN_PASSWORD\n", firstUser)
	return false, nil
}

// publicOr is the public URL of the settings, else what is given.
func (a *app) publicOr(base string) string {
	if a.cfg.PublicURL != "" {
		return strings.TrimRight(a.cfg.PublicURL, "/")
	}
	return base
}

func baseOf(l net.Listener, secure bool) string {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	return scheme + "://" + reachable(l.Addr())
}

// reachable is the address to type into a browser on this machine.
func reachable(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

func listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrInvalid, "cannot listen on %s: %w", addr, err).
			WithRemedy("give a free address with --listen (127.0.0.1:0 picks one)")
	}
	return l, nil
}

// listen serves HTTP until ctx ends; open answers get ten seconds to finish.
func (p *platform) listen(ctx context.Context, l net.Listener, s server) error {
	handler, err := front(p.handler(), p.cfg, s.tlsCert != "")
	if err != nil {
		return err
	}
	srv := &http.Server{
		Handler: timely(handler), ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	done := make(chan error, 1)
	go func() {
		if s.tlsCert != "" {
			done <- srv.ServeTLS(l, s.tlsCert, s.tlsKey)
			return
		}
		done <- srv.Serve(l)
	}()
	select {
	case err := <-done:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	p.dashboard.Close()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}
