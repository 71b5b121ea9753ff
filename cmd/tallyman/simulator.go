package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/demo"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// simulator is the demo's Artifactory and what to connect to it with.
type simulator struct {
	server     *artifactorytest.Server
	fleet      *demo.Fleet
	target     demo.Target
	token      string // of a user that may only read
	hookSecret string
}

// startSimulator starts an empty Artifactory with a reader and its token.
func startSimulator() (*simulator, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this executable: %w", err)
	}
	fleet, err := demo.New(demo.Options{Executable: exe})
	if err != nil {
		return nil, fmt.Errorf("make the demo's images: %w", err)
	}
	srv := artifactorytest.New(artifactorytest.Options{})
	srv.Change(func(s *artifactorytest.Switches) { s.PrivateTargets = true })
	rules := []artifactorytest.Rule{}
	for _, k := range demo.Keys() {
		if err := srv.AddRepo(artifactorytest.Repo{Key: k.Name, Type: k.PackageType, Description: k.Description}); err != nil {
			return nil, err
		}
		rules = append(rules, artifactorytest.Rule{Repo: k.Name})
	}
	srv.AddUser(artifactorytest.User{Name: "tallyman", Password: rand.Text(), Rules: rules})
	if err := srv.Start(""); err != nil {
		return nil, err
	}
	return &simulator{
		server: srv, fleet: fleet, hookSecret: rand.Text() + rand.Text() + rand.Text(),
		token: srv.IssueToken(artifactorytest.Token{User: "tallyman"}),
		target: demo.Target{
			Registry: srv.Host(), Username: artifactorytest.AdminName, Password: artifactorytest.AdminPassword, PlainHTTP: true,
		},
	}, nil
}

// keys are the names of the repository keys.
func (s *simulator) keys() []string {
	names := []string{}
	for _, k := range demo.Keys() {
		names = append(names, k.Name)
	}
	return names
}

// fill pushes every image over HTTP.
func (s *simulator) fill(ctx context.Context) error { return s.fleet.Push(ctx, s.target) }

// subscribe sets the webhook up as an administrator of Artifactory does, by REST.
func (s *simulator) subscribe(ctx context.Context, url string) error {
	body, err := json.Marshal(map[string]any{
		"key": "tallyman", "enabled": true,
		"event_filter": map[string]any{
			"domain": "docker", "event_types": []string{"pushed", "deleted", "promoted"},
			"criteria": map[string]any{"anyLocal": true, "anyRemote": false, "anyFederated": true, "repoKeys": []string{}},
		},
		"handlers": []map[string]any{{
			"handler_type": "webhook", "url": url, "secret": s.hookSecret, "use_secret_for_signing": true,
		}},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.server.URL()+"/event/api/v1/subscriptions", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth(artifactorytest.AdminName, artifactorytest.AdminPassword)
	res, err := (&http.Client{}).Do(req)
	if err != nil {
		return inventory.Errorf(inventory.ErrUnavailable, "set up the webhook: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		said, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // it only says more about the status
		return inventory.Errorf(inventory.ErrInvalid, "set up the webhook: status %d: %s", res.StatusCode, said)
	}
	return nil
}
