package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// daemonSocket is where Docker's daemon listens unless DOCKER_HOST says otherwise.
const daemonSocket = "/var/run/docker.sock"

// fromDaemon saves an image of Docker's daemon to a file that done removes.
func (a *app) fromDaemon(ctx context.Context, ref string) (name string, done func(), err error) {
	socket := daemonSocket
	if host, ok := a.env("DOCKER_HOST"); ok && host != "" {
		path, unix := strings.CutPrefix(host, "unix://")
		if !unix {
			return "", nil, inventory.Errorf(inventory.ErrUnsupported, "DOCKER_HOST is no unix socket").WithRemedy("save the image (docker save %s -o image.tar) and name archive:image.tar", ref)
		}
		socket = path
	}
	hc := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	defer hc.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/images/"+url.PathEscape(ref)+"/get", http.NoBody)
	if err != nil {
		return "", nil, fmt.Errorf("ask Docker's daemon for %s: %w", ref, err)
	}
	res, err := hc.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return "", nil, inventory.Errorf(inventory.ErrUnavailable, "there is no Docker daemon at %s: %w", socket, err).
			WithRemedy("start it, or name the image in its registry, or archive:FILE of docker save")
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", nil, inventory.Errorf(inventory.ErrNotFound, "Docker's daemon has no image %s (status %d)", ref, res.StatusCode).WithRemedy("`docker images` lists them")
	}
	return spool(res.Body, ref)
}

func spool(in io.Reader, ref string) (name string, done func(), err error) {
	f, err := os.CreateTemp("", "tallyman-image-*.tar")
	if err != nil {
		return "", nil, inventory.Errorf(inventory.ErrUnavailable, "save %s: %w", ref, err)
	}
	done = func() { _ = os.Remove(f.Name()) }
	_, err = io.Copy(f, in)
	if err = errors.Join(err, f.Close()); err != nil {
		done()
		return "", nil, inventory.Errorf(inventory.ErrUnavailable, "save %s: %w", ref, err).WithRemedy("make room in the temporary directory")
	}
	return f.Name(), done, nil
}
