package demo

import (
	"fmt"
	"strings"
)

// nodeModules are the manifests of installed npm packages below a directory that
// holds node_modules.
func nodeModules(dir, set string, when age) ([]file, error) {
	rows, err := table("npm.txt", set, 6)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, r := range rows {
		name, version := r[1], upgraded(when, r[3], r[4])
		body := fmt.Sprintf("{\n  \"name\": %q,\n  \"version\": %q,\n  \"description\": \"%s, as npm installs it\",\n  \"license\": %q,\n  \"main\": \"index.js\"\n}\n", name, version, name, r[2])
		at := dir + "/node_modules/" + r[0]
		files = append(files,
			file{path: at + "/package.json", body: body},
			file{path: at + "/index.js", body: "'use strict'\nmodule.exports = require('./lib/" + name + "')\n"})
	}
	return files, nil
}

// sitePackages are installed Python distributions, as pip leaves them.
func sitePackages(python, set string, when age) ([]file, error) {
	rows, err := table("pypi.txt", set, 5)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, r := range rows {
		name, version := r[0], upgraded(when, r[2], r[3])
		module := strings.ToLower(strings.ReplaceAll(name, "-", "_"))
		site := "usr/local/lib/" + python + "/site-packages/"
		info := site + strings.ReplaceAll(name, "-", "_") + "-" + version + ".dist-info/"
		files = append(files,
			file{path: info + "METADATA", body: fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\nSummary: %s, as pip installs it\nLicense: %s\nRequires-Python: >=3.8\n\n", name, version, name, r[1])},
			file{path: info + "WHEEL", body: "Wheel-Version: 1.0\nGenerator: bdist_wheel (0.40.0)\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
			file{path: info + "INSTALLER", body: "pip\n"},
			file{path: site + module + "/__init__.py", body: "__version__ = \"" + version + "\"\n"})
	}
	return files, nil
}

// gemHome is where bundler installs gems in the official Ruby images.
const gemHome = "usr/local/bundle/"

// gems are installed Ruby gems with their specifications.
func gems(set string, when age) ([]file, error) {
	rows, err := table("gems.txt", set, 5)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, r := range rows {
		name, version := r[0], upgraded(when, r[2], r[3])
		spec := fmt.Sprintf(`# -*- encoding: utf-8 -*-
# stub: %[1]s %[2]s ruby lib

Gem::Specification.new do |s|
  s.name = "%[1]s".freeze
  s.version = "%[2]s"

  s.required_rubygems_version = Gem::Requirement.new(">= 0".freeze) if s.respond_to? :required_rubygems_version=
  s.require_paths = ["lib".freeze]
  s.summary = "%[1]s, as bundler installs it".freeze
  s.licenses = ["%[3]s".freeze]
  s.installed_by_version = "3.4.10" if s.respond_to? :installed_by_version
end
`, name, version, r[1])
		files = append(files,
			file{path: gemHome + "specifications/" + name + "-" + version + ".gemspec", body: spec},
			file{path: gemHome + "gems/" + name + "-" + version + "/lib/" + name + ".rb", body: "require \"" + name + "/version\"\n"})
	}
	return files, nil
}
