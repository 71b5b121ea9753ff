package demo

import (
	"debug/buildinfo"
	"strings"
	"testing"
)

func TestGoProgramIsReadAsOne(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		program, err := goProgram(arch, "go1.20.4", "git.example.com/platform/gateway", "v1.8.0", "gateway", oldest)
		if err != nil {
			t.Fatal(err)
		}
		info, err := buildinfo.Read(strings.NewReader(program))
		if err != nil {
			t.Fatalf("%s: %v", arch, err)
		}
		if info.GoVersion != "go1.20.4" || info.Main.Version != "v1.8.0" || len(info.Deps) != 18 {
			t.Errorf("%s: read %s, %s, %d dependencies", arch, info.GoVersion, info.Main.Version, len(info.Deps))
		}
	}
}
