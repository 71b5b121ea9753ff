package oci

import (
	"encoding/json"
	"sort"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// ImageConfig is a parsed image config, redacted.
type ImageConfig struct {
	Platform Platform
	Created  *time.Time
	DiffIDs  []string
	Config   inventory.Config
	Origin   inventory.Origin // as far as labels say
	// CreatedBy has one instruction for each layer; "" where history does not say.
	CreatedBy []string
}

type rawConfig struct {
	Platform
	Created *time.Time `json:"created"`
	Config  struct {
		User         string
		Env          []string
		Entrypoint   []string
		Cmd          []string
		WorkingDir   string
		ExposedPorts map[string]any
		Volumes      map[string]any
		Labels       map[string]string
	} `json:"config"`
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	History []struct {
		Created    *time.Time `json:"created"`
		CreatedBy  string     `json:"created_by"`
		EmptyLayer bool       `json:"empty_layer"`
	} `json:"history"`
}

// ParseConfig reads an image config. keepValues leaves environment values as they
// are; everything else that looks like a secret is redacted in any case.
func ParseConfig(raw []byte, keepValues bool) (ImageConfig, error) {
	var r rawConfig
	if err := json.Unmarshal(raw, &r); err != nil {
		return ImageConfig{}, inventory.Errorf(inventory.ErrInvalid, "image config %s is not readable: %w", Digest(raw), err)
	}
	for _, d := range r.RootFS.DiffIDs {
		if !IsDigest(d) {
			return ImageConfig{}, inventory.Errorf(inventory.ErrUnsupported, "image config %s names a layer by %q; only sha256 diff IDs are read", Digest(raw), clip(d, 100))
		}
	}
	red := newRedactor(r.Config.Env, historyLines(r))
	c := ImageConfig{Platform: r.Platform, Created: r.Created, DiffIDs: r.RootFS.DiffIDs}
	c.Config = inventory.Config{
		User:       red.text(r.Config.User),
		Env:        red.env(r.Config.Env, keepValues),
		Entrypoint: red.args(r.Config.Entrypoint),
		Cmd:        red.args(r.Config.Cmd),
		WorkingDir: red.text(r.Config.WorkingDir),
		Ports:      keys(r.Config.ExposedPorts),
		Volumes:    keys(r.Config.Volumes),
		Labels:     red.labels(r.Config.Labels),
		History:    []inventory.History{},
	}
	for _, h := range r.History {
		c.Config.History = append(c.Config.History, inventory.History{
			CreatedBy: red.history(h.CreatedBy), Created: h.Created, EmptyLayer: h.EmptyLayer,
		})
	}
	c.CreatedBy = instructions(c.Config.History, len(c.DiffIDs))
	c.Origin = labelOrigin(c.Config.Labels)
	return c, nil
}

func historyLines(r rawConfig) []string {
	var out []string
	for _, h := range r.History {
		out = append(out, h.CreatedBy)
	}
	return out
}

// instructions gives each layer its history entry, but only where the two agree
// in number: a guess would name the wrong instruction.
func instructions(hist []inventory.History, layers int) []string {
	out := make([]string, 0, layers)
	for _, h := range hist {
		if !h.EmptyLayer {
			out = append(out, h.CreatedBy)
		}
	}
	if len(out) != layers {
		return make([]string, layers)
	}
	return out
}

func labelOrigin(labels map[string]string) inventory.Origin {
	first := func(names ...string) string {
		for _, n := range names {
			if labels[n] != "" {
				return labels[n]
			}
		}
		return ""
	}
	o := inventory.Origin{
		Source:     first("org.opencontainers.image.source", "org.label-schema.vcs-url"),
		Revision:   first("org.opencontainers.image.revision", "org.label-schema.vcs-ref"),
		BaseName:   first("org.opencontainers.image.base.name"),
		BaseDigest: first("org.opencontainers.image.base.digest"),
	}
	if t, err := time.Parse(time.RFC3339, first("org.opencontainers.image.created", "org.label-schema.build-date")); err == nil {
		o.Created = &t
	}
	if o != (inventory.Origin{}) {
		o.Evidence = "label"
	}
	return o
}

func keys(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
