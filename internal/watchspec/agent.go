package watchspec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// AgentPath is where the old agent's image expects its configuration.
const AgentPath = "/opt/artifactory-agent/data/config.json"

// MostConfig is how long a configuration may be.
const MostConfig = 4 << 20

// Agent is the old agent's configuration, understood.
type Agent struct {
	ID           string // names the watcher
	Organization string // a label
	Token        string // docker.pat, only if it is a token of ours
	Registries   []AgentRegistry
	Notes        []string
}

// AgentRegistry is one entry of "artifactory".
type AgentRegistry struct {
	Integration inventory.Integration
	Secrets     inventory.Secrets
}

// agentFile is the file's shape. Keys that we do not know are left alone.
type agentFile struct {
	AgentID string `json:"agent_id"`
	Docker  struct {
		Organization string `json:"organization_name"`
		Username     string `json:"username"`
		PAT          string `json:"pat"`
	} `json:"docker"`
	Artifactory entries `json:"artifactory"`
}

type agentEntry struct {
	BaseURL  string        `json:"base_url"`
	Username string        `json:"username"`
	Password string        `json:"password"`
	Filters  []imageFilter `json:"image_filters"`
}

type imageFilter struct {
	Repository string   `json:"repository"`
	Images     []string `json:"images"`
}

// entries is a list, or the one entry itself.
type entries []agentEntry

// UnmarshalJSON takes both.
func (e *entries) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		var one agentEntry
		if err := json.Unmarshal(b, &one); err != nil {
			return err
		}
		*e = entries{one}
		return nil
	}
	return json.Unmarshal(b, (*[]agentEntry)(e))
}

// ParseAgent reads the JSON configuration of Docker's Artifactory agent.
// docker.pat is dropped unless it begins with tokenPrefix, which marks tokens of
// ours: Docker's credential is for Docker's cloud, and nothing is sent there.
func ParseAgent(b []byte, tokenPrefix string) (Agent, error) {
	f, err := decodeAgent(b)
	if err != nil {
		return Agent{}, err
	}
	a := Agent{ID: strings.TrimSpace(f.AgentID), Organization: strings.TrimSpace(f.Docker.Organization)}
	if a.ID == "" {
		a.ID = "agent"
		a.Notes = append(a.Notes, `the configuration has no agent_id: "agent" is used`)
	}
	switch {
	case f.Docker.PAT == "":
	case tokenPrefix != "" && strings.HasPrefix(f.Docker.PAT, tokenPrefix):
		a.Token = f.Docker.PAT
	default:
		a.Notes = append(a.Notes, "docker.pat is not used, stored or sent: the server and its token come from --server and --token-file")
	}
	if len(f.Artifactory) == 0 {
		return Agent{}, inventory.Errorf(inventory.ErrInvalid, "the agent's configuration has no artifactory entry").
			WithRemedy(`add "artifactory": [{"base_url": …, "username": …, "password": …}]`)
	}
	for i, e := range f.Artifactory {
		r, err := e.registry(i, a.ID)
		if err != nil {
			return Agent{}, err
		}
		r.Integration.Name = unusedName(r.Integration.Name, a.Registries)
		a.Registries = append(a.Registries, r)
	}
	return a, nil
}

func decodeAgent(b []byte) (agentFile, error) {
	var f agentFile
	if len(b) > MostConfig {
		return f, inventory.Errorf(inventory.ErrInvalid, "the agent's configuration is longer than %d bytes", MostConfig)
	}
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) // some editors begin with it
	dec := json.NewDecoder(bytes.NewReader(b))
	err := dec.Decode(&f)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the closing brace")
		}
	}
	if err == nil {
		return f, nil
	}
	line := 1 + bytes.Count(b[:min(dec.InputOffset(), int64(len(b)))], []byte("\n"))
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		line = 1 + bytes.Count(b[:min(max(syntax.Offset-1, 0), int64(len(b)))], []byte("\n"))
	}
	return f, inventory.Errorf(inventory.ErrInvalid, "the agent's configuration is not readable near line %d: %w", line, err)
}

func (e agentEntry) registry(i int, agent string) (AgentRegistry, error) {
	lack := func(what string) error {
		return inventory.Errorf(inventory.ErrInvalid, "the agent's configuration lacks artifactory[%d].%s", i, what)
	}
	switch {
	case strings.TrimSpace(e.BaseURL) == "":
		return AgentRegistry{}, lack("base_url")
	case e.Password == "":
		return AgentRegistry{}, lack("password")
	}
	registry, err := registryOf(e.BaseURL)
	if err != nil {
		return AgentRegistry{}, inventory.Errorf(inventory.ErrInvalid, "artifactory[%d].base_url: %w", i, err)
	}
	in := inventory.Integration{
		Name: Name(agent, registry), Kind: inventory.KindArtifactory, URL: strings.TrimSpace(e.BaseURL), Registry: registry,
		Username: strings.TrimSpace(e.Username),
	}
	if err := e.applyFilters(i, &in); err != nil {
		return AgentRegistry{}, err
	}
	return AgentRegistry{Integration: in, Secrets: inventory.Secrets{Password: e.Password}}, nil
}

// applyFilters: none at all is everything, an entry without images is its whole
// repository.
func (e agentEntry) applyFilters(i int, in *inventory.Integration) error {
	whole := map[string]bool{}
	for j, f := range e.Filters {
		key := strings.TrimSpace(f.Repository)
		if key == "" || strings.Contains(key, "/") {
			return inventory.Errorf(inventory.ErrInvalid, "artifactory[%d].image_filters[%d].repository is %s, which is no repository key", i, j, quoted(key))
		}
		if !slices.Contains(in.Repositories, key) {
			in.Repositories = append(in.Repositories, key)
		}
		whole[key] = whole[key] || len(f.Images) == 0
	}
	if !slices.ContainsFunc(in.Repositories, func(key string) bool { return !whole[key] }) {
		return nil
	}
	for _, key := range in.Repositories {
		if whole[key] {
			in.Include = append(in.Include, literal(key)+"/**")
		}
	}
	for _, f := range e.Filters {
		key := strings.TrimSpace(f.Repository)
		for _, image := range f.Images {
			glob := literal(key + "/" + strings.Trim(strings.TrimSpace(image), "/"))
			if !whole[key] && strings.TrimSpace(image) != "" && !slices.Contains(in.Include, glob) {
				in.Include = append(in.Include, glob)
			}
		}
	}
	if len(in.Include) == 0 { // only blank names: nothing was meant, not everything
		return inventory.Errorf(inventory.ErrInvalid, "artifactory[%d].image_filters names no image", i)
	}
	return nil
}

// registryOf is the host of references that belongs to a base URL.
func registryOf(base string) (string, error) {
	base = strings.TrimSpace(base)
	if !strings.Contains(base, "://") {
		base = "https://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("%s is no URL", quoted(base))
	}
	return host(u.Host)
}

func unusedName(name string, have []AgentRegistry) string {
	try := name
	for n := 2; slices.ContainsFunc(have, func(r AgentRegistry) bool { return r.Integration.Name == try }); n++ {
		try = fmt.Sprintf("%s-%d", name, n)
	}
	return try
}
