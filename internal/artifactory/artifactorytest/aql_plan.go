package artifactorytest

// The functions here look at criteria from above, to leave rows unread that
// cannot match. They may only ever be too generous.

// repoFilter tells which repositories can have a matching row.
func (c *compiler) repoFilter(criteria []pair) func(string) bool {
	var tests []func(string) bool
	for _, p := range criteria {
		switch p.key {
		case "$and":
			tests = append(tests, c.repoFilter(flatten(p.value)))
		case "$or":
			tests = append(tests, c.anyRepo(p.value))
		case "repo", "item.repo":
			leaf := c.one(p)
			tests = append(tests, func(key string) bool { return leaf(&row{repo: key}) })
		}
	}
	return func(key string) bool {
		for _, t := range tests {
			if !t(key) {
				return false
			}
		}
		return true
	}
}

func (c *compiler) anyRepo(v value) func(string) bool {
	var tests []func(string) bool
	for _, g := range groups(v) {
		tests = append(tests, c.repoFilter(g))
	}
	return func(key string) bool {
		for _, t := range tests {
			if t(key) {
				return true
			}
		}
		return false
	}
}

// namesOf returns every file name that can match, or nil when any can.
func namesOf(criteria []pair) map[string]bool {
	for _, p := range criteria {
		var names map[string]bool
		switch p.key {
		case "$and":
			names = namesOf(flatten(p.value))
		case "$or":
			names = anyName(p.value)
		case "name", "item.name":
			names = nameLeaf(p.value)
		}
		if names != nil {
			return names
		}
	}
	return nil
}

func anyName(v value) map[string]bool {
	union := map[string]bool{}
	for _, g := range groups(v) {
		names := namesOf(g)
		if names == nil {
			return nil
		}
		for n := range names {
			union[n] = true
		}
	}
	return union
}

func nameLeaf(v value) map[string]bool {
	if v.kind == 's' {
		return map[string]bool{v.text: true}
	}
	for _, op := range v.object {
		if op.key == "$eq" {
			return map[string]bool{op.value.text: true}
		}
	}
	return nil
}

// onlyManifests tells whether no other file than manifests can match.
func (p *plan) onlyManifests() bool {
	for n := range p.names {
		if !isManifestFile(n) {
			return false
		}
	}
	return p.names != nil
}

// typeOf returns the one item type that criteria name, or any if they name
// several.
func typeOf(criteria []pair) (kind string, ok bool) {
	for _, p := range criteria {
		var one string
		switch {
		case p.key == "$and" || p.key == "$or":
			one, _ = typeOf(flatten(p.value))
		case p.key != "type" && p.key != "item.type":
		case p.value.kind == 's':
			one = p.value.text
		case len(p.value.object) == 1 && p.value.object[0].key == "$eq":
			one = p.value.object[0].value.text
		default:
			one = "any"
		}
		switch {
		case one == "":
		case kind == "" || kind == one:
			kind = one
		default:
			kind = "any"
		}
	}
	return kind, kind != ""
}
