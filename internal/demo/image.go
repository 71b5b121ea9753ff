package demo

import (
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// step is one instruction of a build; without a layer it only changed the config.
type step struct {
	layer *layer
	by    string
}

// build is an image in the making. It is a value: what is built from it shares its
// steps and never changes them.
type build struct {
	arch    string
	created time.Time
	steps   []step
	config  v1.Config
}

// from starts a build on top of b at another time.
func (b build) from(created time.Time) build {
	b.created = created
	b.steps = slices.Clone(b.steps)
	b.config = *b.config.DeepCopy()
	if b.config.Labels == nil {
		b.config.Labels = map[string]string{}
	}
	return b
}

// then adds a layer and the instruction that made it.
func (b build) then(l *layer, by string) build {
	b.steps = append(slices.Clone(b.steps), step{layer: l, by: by})
	return b
}

// env sets one environment variable, as an ENV instruction would.
func (b build) env(name, value string) build {
	b.config.Env = append(slices.Clone(b.config.Env), name+"="+value)
	b.steps = append(slices.Clone(b.steps), step{by: "ENV " + name + "=" + value})
	return b
}

// run sets what the image starts.
func (b build) run(dir, user string, cmd ...string) build {
	b.config.WorkingDir, b.config.User, b.config.Cmd = dir, user, cmd
	b.steps = append(slices.Clone(b.steps),
		step{by: "WORKDIR " + dir},
		step{by: "USER " + user},
		step{by: `CMD ["` + strings.Join(cmd, `" "`) + `"]`})
	return b
}

// label sets the OCI labels of one build of a project.
func (b build) label(p project, revision, base string) build {
	const prefix = "org.opencontainers.image."
	labels := map[string]string{
		prefix + "title":     p.name,
		prefix + "source":    p.source,
		prefix + "revision":  revision,
		prefix + "created":   b.created.Format(time.RFC3339),
		prefix + "base.name": base,
		prefix + "vendor":    "Example Company",
	}
	b.config.Labels = labels
	b.steps = append(slices.Clone(b.steps), step{by: "LABEL " + prefix + "source=" + p.source})
	return b
}

// image turns the build into an image. Layers decide whether it is of Docker's or
// OCI's media types.
func (b build) image() (v1.Image, error) {
	oci := slices.ContainsFunc(b.steps, func(s step) bool {
		return s.layer != nil && s.layer.media != types.DockerLayer
	})
	img := v1.Image(empty.Image)
	if oci {
		img = mutate.ConfigMediaType(mutate.MediaType(img, types.OCIManifestSchema1), types.OCIConfigJSON)
	}
	var adds []mutate.Addendum
	for i, s := range b.steps {
		at := b.created.Add(time.Duration(i-len(b.steps)) * 7 * time.Second)
		add := mutate.Addendum{History: v1.History{
			Created: v1.Time{Time: at}, CreatedBy: s.by, EmptyLayer: s.layer == nil, Comment: "buildkit.dockerfile.v0",
		}}
		if s.layer != nil {
			add.Layer, add.MediaType = s.layer, s.layer.media
		}
		adds = append(adds, add)
	}
	img, err := mutate.Append(img, adds...)
	if err != nil {
		return nil, fmt.Errorf("stack layers: %w", err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	config = config.DeepCopy()
	config.Created = v1.Time{Time: b.created}
	config.OS, config.Architecture = "linux", b.arch
	config.Config = b.config
	img, err = mutate.ConfigFile(img, config)
	if err != nil {
		return nil, fmt.Errorf("write config: %w", err)
	}
	return img, nil
}
