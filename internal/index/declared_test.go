package index_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci/ocitest"
)

// declaredLines are purls; a declared one says so.
func declaredLines(ps []inventory.Placed) []string {
	out := []string{}
	for _, p := range ps {
		word := "installed "
		if p.Declared {
			word = "declared "
		}
		out = append(out, word+p.PURL)
	}
	return out
}

const npmLock = `{"lockfileVersion":3,"packages":{"":{"name":"app","version":"1.0.0"},
"node_modules/there":{"version":"1.0.0","resolved":"https://registry.example.com/there-1.0.0.tgz"},
"node_modules/absent":{"version":"2.0.0"},
"node_modules/@next/swc-win32":{"version":"3.0.0","optional":true,"os":["win32"]},
"node_modules/jest":{"version":"4.0.0","dev":true},
"node_modules/nothing":{"resolved":"x","link":true}}}`

const yarnLock = `# yarn lockfile v1


"@next/swc-win32@1.0.0":
  version "1.0.0"

absent@^2.0.0, absent@^2.1.0:
  version "2.1.3"
  dependencies:
    needed "^1.0.0"
  optionalDependencies:
    "@next/swc-win32" "1.0.0"
    needed "^1.0.0"

needed@^1.0.0:
  version "1.4.0"
`

const berryLock = `__metadata:
  version: 8

"@esbuild/darwin-arm64@npm:0.18.20":
  version: 0.18.20
  resolution: "@esbuild/darwin-arm64@npm:0.18.20"
  conditions: os=darwin & cpu=arm64
  languageName: node
  linkType: hard

"lodash@npm:^4.17.0":
  version: 4.17.21
  resolution: "lodash@npm:4.17.21"
  dependencies:
    fsevents: "npm:^2.3.2"
  dependenciesMeta:
    fsevents:
      optional: true
  languageName: node
  linkType: hard

"fsevents@npm:^2.3.2":
  version: 2.3.3
  resolution: "fsevents@npm:2.3.3"
  languageName: node
  linkType: hard
`

const pnpmLock = `lockfileVersion: '9.0'

importers:

  .:
    dependencies:
      lodash:
        specifier: ^4.17.21
        version: 4.17.21

packages:

  '@esbuild/win32-x64@0.19.0':
    resolution: {integrity: sha512-x}
    cpu: [x64]
    os: [win32]

  lodash@4.17.21:
    resolution: {integrity: sha512-y}

snapshots:

  '@esbuild/win32-x64@0.19.0':
    optional: true

  lodash@4.17.21: {}
`

// A lock file names what somebody may install. What is installed is listed once,
// as installed; what another platform would need is not in this image.
func TestLockFiles(t *testing.T) {
	tests := []struct {
		name, file, body string
		more             []ocitest.Entry
		want             []string
	}{
		{
			"npm", "app/package-lock.json", npmLock,
			[]ocitest.Entry{ocitest.File("app/node_modules/there/package.json", npm("there", "1.0.0"))},
			[]string{"declared pkg:npm/absent@2.0.0", "installed pkg:npm/there@1.0.0"},
		},
		{
			"npm: installed in another directory", "src/package-lock.json", npmLock,
			[]ocitest.Entry{ocitest.File("srv/node_modules/absent/package.json", npm("absent", "2.0.0")), ocitest.File("srv/node_modules/there/package.json", npm("there", "1.0.1"))},
			[]string{"installed pkg:npm/absent@2.0.0", "declared pkg:npm/there@1.0.0", "installed pkg:npm/there@1.0.1"},
		},
		{"npm: of a package's authors", "app/node_modules/there/package-lock.json", npmLock, nil, []string{}},
		{"yarn classic", "app/yarn.lock", yarnLock, nil, []string{"declared pkg:npm/absent@2.1.3", "declared pkg:npm/needed@1.4.0"}},
		{"yarn berry", "app/yarn.lock", berryLock, nil, []string{"declared pkg:npm/lodash@4.17.21"}},
		{"pnpm", "app/pnpm-lock.yaml", pnpmLock, nil, []string{"declared pkg:npm/lodash@4.17.21"}},
		{
			"bun", "app/bun.lock", "{\n  \"lockfileVersion\": 1,\n  \"packages\": {\n    \"@esbuild/win32-x64\": [\"@esbuild/win32-x64@0.19.0\", \"\", { \"os\": \"win32\", \"cpu\": \"x64\" }, \"sha512-x\"],\n    \"lodash\": [\"lodash@4.17.21\", \"\", {}, \"sha512-y\"],\n  }\n}\n", nil,
			[]string{"declared pkg:npm/lodash@4.17.21"},
		},
		{
			"bundler", "app/Gemfile.lock", "GEM\n  remote: https://rubygems.example.com/\n  specs:\n    rack (2.2.8)\n    rake (13.0.6)\n\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n  rack\n",
			[]ocitest.Entry{ocitest.File("g/specifications/rake-13.0.6.gemspec", "# stub: rake 13.0.6 ruby lib\n")},
			[]string{"declared pkg:gem/rack@2.2.8", "installed pkg:gem/rake@13.0.6"},
		},
		{
			"poetry", "app/poetry.lock", "[[package]]\nname = \"zope-interface\"\nversion = \"6.0\"\noptional = false\n\n[[package]]\nname = \"flask\"\nversion = \"2.3.2\"\noptional = false\n\n[[package]]\nname = \"pytest\"\nversion = \"7.0.0\"\noptional = false\ngroups = [\"dev\"]\n\n[metadata]\nlock-version = \"2.0\"\n",
			[]ocitest.Entry{ocitest.File("v/zope.interface-6.0.dist-info/METADATA", "Name: zope.interface\nVersion: 6.0\n")},
			[]string{"declared pkg:pypi/flask@2.3.2", "installed pkg:pypi/zope.interface@6.0"},
		},
		{"pipenv", "app/Pipfile.lock", `{"_meta":{},"default":{"flask":{"version":"==2.3.2"},"loose":{"version":"*"}},"develop":{"pytest":{"version":"==7.0.0"}}}`, nil, []string{"declared pkg:pypi/flask@2.3.2"}},
		{"uv", "app/uv.lock", "version = 1\n\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\nsource = { virtual = \".\" }\n\n[[package]]\nname = \"idna\"\nversion = \"3.4\"\nsource = { registry = \"https://pypi.example.com/simple\" }\n", nil, []string{"declared pkg:pypi/idna@3.4"}},
		{
			"requirements", "app/requirements.txt", "# pinned\nDjango==4.2.1 \\\n    --hash=sha256:00\nflask>=2\nrequests\nidna[x]==3.4 ; python_version > '3'\npywin32==306; sys_platform == 'win32'\nuvloop==0.17; sys_platform != 'win32'\nblack==23.*\n-r other.txt\n", nil,
			[]string{"declared pkg:pypi/django@4.2.1", "declared pkg:pypi/idna@3.4", "declared pkg:pypi/uvloop@0.17"},
		},
		{"cargo", "src/Cargo.lock", "version = 3\n\n[[package]]\nname = \"serde\"\nversion = \"1.0.150\"\nsource = \"registry+https://example.com/index\"\n", nil, []string{"declared pkg:cargo/serde@1.0.150"}},
		{
			"go.mod", "src/go.mod", "module example.com/app\n\ngo 1.21\n\nrequire (\n\tgolang.org/x/net v0.10.0\n\texample.com/old v1.0.0\n\texample.com/local v1.0.0\n)\n\nreplace example.com/old => example.com/new v1.2.0\n\nreplace example.com/local => ../local\n", nil,
			[]string{"declared pkg:golang/example.com/new@v1.2.0", "declared pkg:golang/golang.org/x/net@v0.10.0"},
		},
		{
			"composer", "app/composer.lock", `{"packages":[{"name":"monolog/monolog","version":"2.9.1"},{"name":"a/b","version":"1.0.0"}],"packages-dev":[{"name":"phpunit/phpunit","version":"9.0.0"}]}`,
			[]ocitest.Entry{ocitest.File("app/vendor/composer/installed.json", `{"packages":[{"name":"monolog/monolog","version":"2.9.1"}]}`)},
			[]string{"declared pkg:composer/a/b@1.0.0", "installed pkg:composer/monolog/monolog@2.9.1"},
		},
		{
			"nuget", "src/packages.lock.json", `{"version":1,"dependencies":{"net8.0":{"Newtonsoft.Json":{"type":"Direct","requested":"[13.0.1, )","resolved":"13.0.1"}}}}`,
			[]ocitest.Entry{ocitest.File("app/A.deps.json", `{"libraries":{"newtonsoft.json/13.0.1":{"type":"package"},"runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/8.0.1":{"type":"runtimepack"}}}`)},
			[]string{"installed pkg:nuget/Microsoft.NETCore.App.Runtime.linux-x64@8.0.1", "installed pkg:nuget/newtonsoft.json@13.0.1"},
		},
		{"nuget of old", "src/packages.config", `<?xml version="1.0"?><packages><package id="jQuery" version="3.6.0" targetFramework="net48"/></packages>`, nil, []string{"declared pkg:nuget/jQuery@3.6.0"}},
		{
			"nuget as restored: a range asked for is no package", "src/obj/project.assets.json",
			`{"version":3,"targets":{"net8.0":{"Serilog/3.1.1":{"type":"package","dependencies":{"System.Memory":"4.5.0"}},"System.Memory/4.5.5":{"type":"package"},"Own/1.0.0":{"type":"project"}}},"libraries":{"Serilog/3.1.1":{"type":"package"},"System.Memory/4.5.5":{"type":"package"},"Own/1.0.0":{"type":"project"}}}`, nil,
			[]string{"declared pkg:nuget/Serilog@3.1.1", "declared pkg:nuget/System.Memory@4.5.5"},
		},
		{"paket", "src/paket.lock", "NUGET\n  remote: https://nuget.example.com/v3/index.json\n    FSharp.Core (6.0.7)\n    Giraffe (6.2)\n      FSharp.Core (>= 6.0)\n", nil, []string{"declared pkg:nuget/FSharp.Core@6.0.7", "declared pkg:nuget/Giraffe@6.2"}},
		{"gradle", "src/gradle.lockfile", "# comment\norg.springframework:spring-core:5.3.20=runtimeClasspath\nempty=\n", nil, []string{"declared pkg:maven/org.springframework/spring-core@5.3.20"}},
		{"mix", "src/mix.lock", "%{\n  \"jason\": {:hex, :jason, \"1.4.0\", \"e855\", [:mix], [], \"hexpm\", \"79a3\"},\n}\n", nil, []string{"declared pkg:hex/jason@1.4.0"}},
		{"conan", "src/conan.lock", `{"version":"0.5","requires":["zlib/1.2.11#abc%1"],"build_requires":["cmake/3.20.0#x"],"python_requires":[]}`, nil, []string{"declared pkg:conan/zlib@1.2.11"}},
		{"pub", "src/pubspec.lock", "packages:\n  http:\n    dependency: \"direct main\"\n    source: hosted\n    version: \"1.1.0\"\n  test:\n    dependency: \"direct dev\"\n    source: hosted\n    version: \"1.0.0\"\n", nil, []string{"declared pkg:pub/http@1.1.0"}},
		{"cabal", "src/cabal.project.freeze", "constraints: any.aeson ==2.1.0.0,\n             any.text ==2.0\n", nil, []string{"declared pkg:hackage/aeson@2.1.0.0", "declared pkg:hackage/text@2.0"}},
		{"stack", "src/stack.yaml.lock", "packages:\n- completed:\n    hackage: fuzzyset-0.2.4@sha256:f1b6de8bf33277bf6255207541d65028f1f1ea93af5541b654c86b5674995485,1618\n  original:\n    hackage: fuzzyset-0.2.4\n", nil, []string{"declared pkg:hackage/fuzzyset@0.2.4"}},
		{"renv", "src/renv.lock", `{"R":{"Version":"4.2.3"},"Packages":{"digest":{"Package":"digest","Version":"0.6.31","Source":"Repository","Repository":"CRAN"}}}`, nil, []string{"declared pkg:cran/digest@0.6.31"}},
		{"swift", "src/Package.resolved", `{"pins":[{"identity":"swift-nio","kind":"remoteSourceControl","location":"https://github.com/apple/swift-nio.git","state":{"revision":"abc","version":"2.40.0"}}],"version":2}`, nil, []string{"declared pkg:swift/github.com/apple/swift-nio@2.40.0"}},
		{"julia", "src/Manifest.toml", "julia_version = \"1.9.0\"\nmanifest_format = \"2.0\"\n\n[[deps.JSON]]\nuuid = \"682c06a0-de6a-54ab-a142-c8b1cf79cde6\"\nversion = \"0.21.4\"\n", nil, []string{"declared pkg:julia/JSON@0.21.4"}},
		{"pdm", "app/pdm.lock", "[metadata]\ngroups = [\"default\"]\n\n[[package]]\nname = \"idna\"\nversion = \"3.4\"\ngroups = [\"default\"]\n", nil, []string{"declared pkg:pypi/idna@3.4"}},
		{"pylock", "app/pylock.toml", "lock-version = \"1.0\"\n\n[[packages]]\nname = \"idna\"\nversion = \"3.4\"\n", nil, []string{"declared pkg:pypi/idna@3.4"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := local(t, append(tt.more, ocitest.File(tt.file, tt.body))...)
			if diff := cmp.Diff(tt.want, declaredLines(res.Packages)); diff != "" {
				t.Errorf("(-want +got)\n%s\nproblems %v", diff, res.Image.Problems)
			}
			for _, p := range res.Packages {
				if p.Version == "" || p.Ecosystem == "" {
					t.Errorf("%s has no version or no ecosystem", p.PURL)
				}
			}
		})
	}
}

// A lock file and the tree may lie in different layers, and either may go.
func TestLockFileAndTreeInLayers(t *testing.T) {
	lock := ocitest.File("app/package-lock.json", npmLock)
	tree := ocitest.File("app/node_modules/absent/package.json", npm("absent", "2.0.0"))
	there := ocitest.File("app/node_modules/there/package.json", npm("there", "1.0.0"))
	for _, tt := range []struct {
		name   string
		layers [][]ocitest.Entry
		want   string
	}{
		{"lock first", [][]ocitest.Entry{{lock}, {tree, there}}, "pkg:npm/absent@2.0.0 /app/node_modules/absent/package.json, pkg:npm/there@1.0.0 /app/node_modules/there/package.json"},
		{"tree first", [][]ocitest.Entry{{tree, there}, {lock}}, "pkg:npm/absent@2.0.0 /app/node_modules/absent/package.json, pkg:npm/there@1.0.0 /app/node_modules/there/package.json"},
		{"tree removed", [][]ocitest.Entry{{tree, there}, {lock}, {ocitest.Whiteout("app/node_modules")}}, "pkg:npm/absent@2.0.0 /app/package-lock.json, pkg:npm/there@1.0.0 /app/package-lock.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(contents(t, tt.layers...), ", "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestBrokenLockFileIsAProblem(t *testing.T) {
	res := local(t, ocitest.File("app/package-lock.json", "{"), ocitest.File("app/poetry.lock", "[[["), ocitest.File("app/Cargo.lock", "\x00"))
	if len(res.Packages) != 0 || len(res.Image.Problems) != 3 {
		t.Errorf("%v %v", lines(res.Packages), res.Image.Problems)
	}
}
