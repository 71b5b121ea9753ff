package index_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/oci/ocitest"
)

// alpine310 is what Alpine 3.10 says is in its image: name, version, source.
const alpine310 = `alpine-baselayout 3.1.2-r0 alpine-baselayout
alpine-keys 2.1-r2 alpine-keys
apk-tools 2.10.4-r2 apk-tools
busybox 1.30.1-r3 busybox
ca-certificates-cacert 20190108-r0 ca-certificates
libc-utils 0.7.1-r0 libc-dev
libcrypto1.1 1.1.1d-r2 openssl
libssl1.1 1.1.1d-r2 openssl
libtls-standalone 2.9.1-r0 libtls-standalone
musl 1.1.22-r3 musl
musl-utils 1.1.22-r3 musl
scanelf 1.2.3-r0 pax-utils
ssl_client 1.30.1-r3 busybox
zlib 1.2.11-r1 zlib`

// A real image's packages, none missing and none invented: from its own database
// where that is at hand, and from one with the same names and versions.
func TestApkOfARealImage(t *testing.T) {
	facts := strings.Split(alpine310, "\n")
	var db strings.Builder
	for _, line := range facts {
		f := strings.Fields(line)
		db.WriteString("P:" + f[0] + "\nV:" + f[1] + "\nA:x86_64\no:" + f[2] + "\n\n")
	}
	databases := map[string]string{"names and versions": db.String()}
	for _, dir := range []string{os.Getenv("TALLYMAN_TRUTH_DATA"), "../../../shared/data"} {
		b, err := os.ReadFile(filepath.Join(dir, "inventories", "alpine-3.10-lib-apk-db-installed"))
		if dir != "" && err == nil {
			databases["the whole database"] = string(b)
			break
		}
	}
	for name, body := range databases {
		t.Run(name, func(t *testing.T) {
			res := local(t, ocitest.File("etc/os-release", "ID=alpine\nVERSION_ID=3.10.4\n"), ocitest.File("lib/apk/db/installed", body))
			var got []string
			for _, p := range res.Packages {
				got = append(got, p.Name+" "+p.Version+" "+p.SourceName)
				if p.Ecosystem != "Alpine:v3.10" || p.Arch != "x86_64" {
					t.Errorf("%s: ecosystem %q, architecture %q", p.Name, p.Ecosystem, p.Arch)
				}
			}
			if diff := cmp.Diff(slices.Sorted(slices.Values(facts)), slices.Sorted(slices.Values(got))); diff != "" {
				t.Errorf("(-want +got)\n%s\nproblems %v", diff, res.Image.Problems)
			}
		})
	}
}
