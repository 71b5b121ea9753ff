package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/discover"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store"
	"github.com/tallyman-dev/tallyman/internal/watchspec"
)

// agentState is the directory of the agent's store, beside its configuration.
const agentState = "tallyman"

// agentFlags are what is typed after `tallyman agent`.
type agentFlags struct {
	config, from, interval string
	payload                string
	force, onlyOnce        bool
}

func newAgent(a *app) *cobra.Command {
	var f agentFlags
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run on the configuration of Docker's Artifactory agent, unchanged",
		Long: `Reads the JSON configuration of Docker's Artifactory agent as it is and watches the
registries that it names. What is there at the first start is recorded and left alone;
whatever differs from it counts, also what was pushed while the agent was down. Nothing is
sent to Docker: docker.organization_name is a label, the user and the token are not used.

With --server what is found goes to a server far away, under the name that agent_id says;
--print-payload shows it, credentials stay here. The token comes from --token-file, or is
docker.pat where that is a token of Tallyman's.

State lies in the directory "tallyman" beside the configuration, unless --data says
otherwise. --backfill-from takes in what was pushed from that time on, then exits: 0, or 3
if something could not be analysed.`,
		Example: `  tallyman agent --agent-config /var/opt/artifactory-agent/config.json
  tallyman agent --agent-config config.json --backfill-from=2022-04-10T10:00:00Z`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.force && f.from == "" {
				return inventory.Errorf(inventory.ErrInvalid, "--force goes with --backfill-from").
					WithRemedy("say from when: --backfill-from=2022-04-10T10:00:00Z --force")
			}
			from, err := f.since(a)
			if err != nil {
				return err
			}
			w, err := f.read(a, cmd.Flags().Changed("data"))
			if err != nil {
				return err
			}
			done, err := a.showPayload(&w, f.payload)
			if err != nil {
				return err
			}
			defer done()
			if f.from == "" {
				return a.watch(cmd.Context(), w)
			}
			return a.backfill(cmd.Context(), w, from, f.force)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.config, "agent-config", watchspec.AgentPath, "the agent's JSON configuration")
	fs.StringVar(&f.from, "backfill-from", "", "take in what was pushed since this ISO 8601 time, then exit")
	fs.BoolVar(&f.force, "force", false, "with --backfill-from: analyse again what was analysed before")
	fs.BoolVar(&f.onlyOnce, "once", false, "one full pass, then exit: 0, or 3 if something could not be analysed")
	fs.StringVar(&f.interval, "interval", "60", "seconds between looks (or 5m)")
	addPayloadFlag(cmd, &f.payload)
	fs.IntVar(&a.workers, "workers", 0, "images indexed at a time (default 3)")
	fs.StringVar(&a.bandwidth, "max-bandwidth", "", "bytes a second that downloads from one registry may take, as 500K or 10M")
	return cmd
}

// since is the time of --backfill-from, if it is given.
func (f agentFlags) since(a *app) (time.Time, error) {
	if f.from == "" {
		return time.Time{}, nil
	}
	from, assumed, err := watchspec.ParseTime(f.from)
	if err == nil && assumed {
		a.say("--backfill-from has no zone: taken as UTC, %s", from.Format(time.RFC3339))
	}
	return from, err
}

// read understands the configuration, says what is taken how, and sets where the
// state lies.
func (f agentFlags) read(a *app, dataTyped bool) (watching, error) {
	w := watching{once: f.onlyOnce, looks: discover.Options{Baseline: true}}
	var err error
	if w.every, err = parseInterval(f.interval); err != nil {
		return w, err
	}
	b, err := readAgentConfig(f.config)
	if err != nil {
		return w, err
	}
	agent, err := watchspec.ParseAgent(b, store.TokenPrefix)
	if err != nil {
		return w, inventory.Errorf(inventory.ErrInvalid, "%s: %w", f.config, err)
	}
	for _, note := range agent.Notes {
		a.say("%s", note)
	}
	w.name, w.token = watchspec.Name(agent.ID), agent.Token
	if agent.Token != "" && a.cfg.Server == "" {
		a.say("docker.pat is a token of Tallyman's, and is not used: the ledger is the local store")
	}
	if agent.Organization != "" {
		a.say("docker.organization_name %s is only a label here: nothing is sent to Docker", agent.Organization)
	}
	for _, r := range agent.Registries {
		w.targets = append(w.targets, target{in: r.Integration, secrets: r.Secrets})
	}
	if _, set := a.env("TALLYMAN_DATA"); !dataTyped && !set {
		a.cfg.Data = filepath.Join(filepath.Dir(f.config), agentState)
	}
	return w, writable(a.cfg.Data)
}

func readAgentConfig(path string) ([]byte, error) {
	fail := func(err error, remedy string, args ...any) ([]byte, error) {
		return nil, inventory.Errorf(inventory.ErrForbidden, "the agent's configuration %s cannot be read by uid %d: %w", path, os.Getuid(), cause(err)).
			WithRemedy(remedy, args...)
	}
	file, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail(err, "mount the directory that holds config.json at %s, or name the file with --agent-config", filepath.Dir(watchspec.AgentPath))
	case err != nil:
		return fail(err, "let that user read it: chown %d %s, or run as its owner (docker run --user)", os.Getuid(), path)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, watchspec.MostConfig+1))
	if err != nil {
		return fail(err, "name a file, not a directory, with --agent-config")
	}
	return b, nil
}

// writable makes the directory of the state and tries to write there, before anything
// is asked of a registry.
func writable(dir string) error {
	fail := func(err error) error {
		return inventory.Errorf(inventory.ErrForbidden, "the state directory %s cannot be written by uid %d: %w", dir, os.Getuid(), cause(err)).
			WithRemedy("let that user write there: chown %d %s, or run as its owner (docker run --user), or give another place with --data", os.Getuid(), filepath.Dir(dir))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fail(err)
	}
	probe, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return fail(err)
	}
	probe.Close()
	if err := os.Remove(probe.Name()); err != nil {
		return fail(err)
	}
	return nil
}

// cause is an error of the file system without the path, which the sentence has.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
