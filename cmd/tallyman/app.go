package main

import (
	"errors"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/config"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// app is what every command is given: the outside world, and the settings once read.
type app struct {
	env    config.Env
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer

	cfg config.Config
	log *slog.Logger

	// What serve and demo may set besides; empty and 0 = as the settings say.
	listen          string
	workers         int
	bandwidth       string
	advisoriesEvery string
}

// configure reads the settings before any command runs: flag beats environment beats file.
func (a *app) configure(cmd *cobra.Command) error {
	f := cmd.Flags()
	file, err := f.GetString("config")
	if err != nil {
		return err
	}
	if a.cfg, err = config.Load(a.env, file); err != nil {
		return err
	}
	for flag, field := range map[string]*string{
		"data": &a.cfg.Data, "database": &a.cfg.Database, "server": &a.cfg.Server, "token-file": &a.cfg.TokenFile,
		"log-format": &a.cfg.LogFormat, "log-level": &a.cfg.LogLevel, "progress": &a.cfg.Progress,
	} {
		if f.Changed(flag) {
			if *field, err = f.GetString(flag); err != nil {
				return err
			}
		}
	}
	if f.Changed("no-color") {
		if a.cfg.NoColor, err = f.GetBool("no-color"); err != nil {
			return err
		}
	}
	if a.listen != "" {
		a.cfg.Listen = a.listen
	}
	if a.bandwidth != "" {
		a.cfg.MaxBandwidth = a.bandwidth
	}
	if a.workers != 0 {
		a.cfg.Workers = a.workers
	}
	if a.advisoriesEvery != "" {
		a.cfg.AdvisoriesEvery = a.advisoriesEvery
	}
	if err := a.cfg.Validate(); err != nil {
		return err
	}
	a.log = newLogger(a.stderr, a.cfg)
	return nil
}

// newLogger writes to stderr, so that results on stdout stay clean.
func newLogger(w io.Writer, cfg config.Config) *slog.Logger {
	level := slog.LevelInfo
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: level}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// colour tells whether w is a terminal that wants colour.
func (a *app) colour(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && !a.cfg.NoColor && isTerminal(f)
}

// usageError names the command whose help tells more.
func usageError(cmd *cobra.Command, err error) error {
	var e *inventory.Error
	if errors.As(err, &e) {
		return err
	}
	return inventory.Errorf(inventory.ErrInvalid, "%w", err).WithRemedy("`%s --help` shows what it takes", cmd.CommandPath())
}

// oneFormat checks a --format value.
func oneFormat(cmd *cobra.Command, format string, allowed ...string) error {
	for _, f := range allowed {
		if f == format {
			return nil
		}
	}
	return inventory.Errorf(inventory.ErrInvalid, "unknown format %q for %s", format, cmd.CommandPath()).
		WithRemedy("use one of %v", allowed)
}
