package main

import (
	"io"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/config"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Names of the variables that hold a registry's credentials, ours before those that
// people's existing set-ups use.
var (
	userVariables     = []string{"TALLYMAN_ARTIFACTORY_API_USER", "DOCKER_SCOUT_ARTIFACTORY_API_USER"}
	passwordVariables = []string{"TALLYMAN_ARTIFACTORY_API_PASSWORD", "DOCKER_SCOUT_ARTIFACTORY_API_PASSWORD"}
	webhookVariables  = []string{"TALLYMAN_ARTIFACTORY_WEBHOOK_SECRET", "DOCKER_SCOUT_ARTIFACTORY_WEBHOOK_SECRET"}
)

// readStdin reads one secret from standard input.
func (a *app) readStdin(what string) (string, error) {
	const most = 64 << 10
	b, err := io.ReadAll(io.LimitReader(a.stdin, most+1))
	if err != nil {
		return "", inventory.Errorf(inventory.ErrInvalid, "read the %s from standard input: %w", what, err)
	}
	secret := strings.TrimSpace(string(b))
	switch {
	case len(b) > most:
		return "", inventory.Errorf(inventory.ErrInvalid, "the %s on standard input is larger than 64 KiB: not a secret", what)
	case secret == "":
		return "", inventory.Errorf(inventory.ErrInvalid, "no %s on standard input", what).
			WithRemedy("pipe it in: tallyman … --secret-stdin < token-file")
	}
	return secret, nil
}

// secretOr is the secret from standard input if asked, else from the environment.
func (a *app) secretOr(stdin bool, what string, variables []string) (string, error) {
	if stdin {
		return a.readStdin(what)
	}
	return config.Secret(a.env, variables...)
}
