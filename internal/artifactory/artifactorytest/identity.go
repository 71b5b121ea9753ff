package artifactorytest

// Right is what a rule allows; rights add up.
type Right uint8

// The rights. On a remote, Deploy is the right to fill its cache.
const (
	Read Right = 1 << iota
	Deploy
	Delete
	Annotate
)

// AllRepos in a rule stands for every repository.
const AllRepos = "*"

const anonymousName = "anonymous"

// Rule gives rights on the paths of one repository. Include and Exclude are Ant
// patterns on the path inside it; none included is all. Rights zero is Read.
type Rule struct {
	Repo    string
	Include []string
	Exclude []string
	Rights  Right
}

// User is somebody who may sign in.
type User struct {
	Name     string
	Password string
	APIKey   string
	Admin    bool
	Rules    []Rule
}

type user struct{ User }

// grant is a user's rights on a repository, for taking them away for a while.
type grant struct{ user, repo string }

// identity is who a request comes from.
type identity struct {
	name      string
	admin     bool
	anonymous bool
}

// AddUser makes or replaces a user. The user "anonymous" is who requests
// without credentials are, where anonymous access is on: it may read all
// repositories unless replaced.
func (s *Server) AddUser(u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[u.Name] = &user{u}
}

// DeleteUser removes a user; its tokens stop working.
func (s *Server) DeleteUser(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.users, name)
	s.gate.forget()
}

// Grant adds a rule to a user.
func (s *Server) Grant(name string, rule Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.users[name]; old != nil {
		changed := *old
		changed.Rules = append(append([]Rule(nil), old.Rules...), rule)
		s.users[name] = &changed
	}
}

// Withdraw takes a user's rights on a repository away until Restore; the
// repository AllRepos is all of them.
func (s *Server) Withdraw(name, repo string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.withdrawn[grant{name, repo}] = true
}

// Restore undoes Withdraw.
func (s *Server) Restore(name, repo string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.withdrawn, grant{name, repo})
}

// rulesFor returns the rules an identity has on a repository. Callers hold the lock.
func (s *Server) rulesFor(id identity, r *repository) []Rule {
	u := s.users[id.name]
	if u == nil || s.withdrawn[grant{id.name, AllRepos}] || s.withdrawn[grant{id.name, r.Key}] ||
		s.withdrawn[grant{id.name, r.physical()}] {
		return nil
	}
	var rules []Rule
	for _, rule := range u.Rules {
		if rule.Repo == AllRepos || rule.Repo == r.Key || rule.Repo == r.physical() {
			rules = append(rules, rule)
		}
	}
	return rules
}

func (ru Rule) allows(path string, want Right) bool {
	have := ru.Rights
	if have == 0 {
		have = Read
	}
	if have&want == 0 {
		return false
	}
	for _, p := range ru.Exclude {
		if antMatch(p, path) {
			return false
		}
	}
	for _, p := range ru.Include {
		if antMatch(p, path) {
			return true
		}
	}
	return len(ru.Include) == 0
}

// may tells whether an identity has a right on a path of a repository with
// files. Callers hold the lock.
func (s *Server) may(id identity, r *repository, path string, want Right) bool {
	return s.permit(id, r)(path, want)
}

// permit is may with the rules looked up once. Callers hold the lock.
func (s *Server) permit(id identity, r *repository) func(path string, want Right) bool {
	if id.admin {
		return func(string, Right) bool { return true }
	}
	rules := s.rulesFor(id, r)
	return func(path string, want Right) bool {
		for _, rule := range rules {
			if rule.allows(path, want) {
				return true
			}
		}
		return false
	}
}

// sees tells whether a repository is in an identity's list: any right on it,
// or on a member of a virtual. Callers hold the lock.
func (s *Server) sees(id identity, r *repository) bool {
	if id.admin {
		return true
	}
	for _, m := range s.members(r) {
		if len(s.rulesFor(id, m)) > 0 {
			return true
		}
	}
	return false
}
