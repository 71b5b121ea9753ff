package index_test

import (
	"archive/zip"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var builtOnce = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "tallyman-index-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	src := filepath.Join(dir, "main.go")
	if err := os.WriteFile(src, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		return nil, err
	}
	out := filepath.Join(dir, "main")
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", out, src)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return msg, err
	}
	return os.ReadFile(out)
})

// selfBinary is a real Go program.
func selfBinary(t *testing.T) []byte {
	t.Helper()
	b, err := builtOnce()
	if err != nil {
		t.Fatalf("building a Go program: %v\n%s", err, b)
	}
	return b
}

// makeJar is an archive with pom.properties and what else it should hold.
func makeJar(t *testing.T, group, artifact, version string, more map[string][]byte) []byte {
	t.Helper()
	files := map[string][]byte{}
	if group != "" {
		files["META-INF/maven/"+group+"/"+artifact+"/pom.properties"] = []byte("groupId=" + group + "\nartifactId=" + artifact + "\nversion=" + version + "\n")
	}
	for name, b := range more {
		files[name] = b
	}
	return makeZip(t, files)
}

func makeZip(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, body := range files {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write(body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
