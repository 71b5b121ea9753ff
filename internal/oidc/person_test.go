package oidc

import (
	"errors"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func TestPerson(t *testing.T) {
	roles := map[string][]string{"admin": {"platform"}, "editor": {"dev", "ops"}, "viewer": {"staff"}}
	for name, tt := range map[string]struct {
		o      Options
		claims map[string]any
		want   inventory.External
		err    error
	}{
		"the strongest role wins": {
			Options{Roles: roles},
			map[string]any{"preferred_username": "ada", "groups": []any{"dev", "platform", "staff", 7}},
			inventory.External{Name: "ada", Role: "admin"},
			nil,
		},
		"one group is a string": {Options{Roles: roles}, map[string]any{"email": "ada@example.com", "groups": "ops"}, inventory.External{Name: "ada@example.com", Role: "editor"}, nil},
		"no group of ours":      {Options{Roles: roles}, map[string]any{"preferred_username": "eve", "groups": []any{"guests"}}, inventory.External{}, inventory.ErrForbidden},
		"no groups at all":      {Options{Roles: roles}, map[string]any{"preferred_username": "eve"}, inventory.External{}, inventory.ErrForbidden},
		"a role for the rest":   {Options{Roles: roles, Default: "viewer"}, map[string]any{"preferred_username": "eve"}, inventory.External{Name: "eve", Role: "viewer"}, nil},
		"a claim in an object": {
			Options{Roles: roles, Claim: "realm_access.roles"},
			map[string]any{"name": "Ada Lovelace", "realm_access": map[string]any{"roles": []any{"staff"}}},
			inventory.External{Name: "Ada-Lovelace", Role: "viewer"},
			nil,
		},
		"a claim with a dot in its name": {
			Options{Roles: roles, Claim: "https://id.example/roles"},
			map[string]any{"name": "ada", "https://id.example/roles": []any{"dev"}},
			inventory.External{Name: "ada", Role: "editor"},
			nil,
		},
		"roles are given here":      {Options{}, map[string]any{"name": "ada", "groups": []any{"platform"}}, inventory.External{Name: "ada", First: "viewer"}, nil},
		"a name that is no name":    {Options{}, map[string]any{"preferred_username": "  <é>", "name": "-._", "sub": "4711"}, inventory.External{Name: "4711", Subject: "4711", First: "viewer"}, nil},
		"an address as it is typed": {Options{}, map[string]any{"preferred_username": "ACME\\ada"}, inventory.External{Name: "ACME-ada", First: "viewer"}, nil},
	} {
		got, err := New(tt.o, nil).person(tt.claims)
		if !errors.Is(err, tt.err) || err == nil && got != tt.want {
			t.Errorf("%s: %+v, %v; want %+v, %v", name, got, err, tt.want, tt.err)
		}
	}
}
