package artifactorytest

import (
	"regexp"
	"strings"
)

// The files of Artifactory's storage layout of images.
const (
	manifestFile     = "manifest.json"
	listManifestFile = "list.manifest.json"
	uploadsFolder    = "_uploads"
	blobPrefix       = "sha256__"
	localSubPrefix   = "sha256:" // folder of a manifest pushed by digest, in a local repository
	markerSuffix     = ".marker" // a blob that a remote knows of and has not fetched
)

func isManifestFile(name string) bool { return name == manifestFile || name == listManifestFile }

// isDigestFolder tells folders of manifests by digest from tags.
func isDigestFolder(name string) bool {
	for _, p := range []string{localSubPrefix, blobPrefix} {
		if rest, ok := strings.CutPrefix(name, p); ok && isHex(rest) {
			return true
		}
	}
	return false
}

// blobHex returns the digest a blob file is named for.
func blobHex(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, blobPrefix)
	return rest, ok && isHex(rest)
}

// splitPath parts "a/b/c" into "a/b" and "c".
func splitPath(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

func joinPath(dir, name string) string {
	if dir == "" {
		return name
	}
	if name == "" {
		return dir
	}
	return dir + "/" + name
}

var (
	imageName = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagName   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
)

func validImage(name string) bool { return len(name) <= 255 && imageName.MatchString(name) }

// cleanPath refuses paths that would leave a repository or hold empty parts.
func cleanPath(path string) (string, bool) {
	path = strings.Trim(path, "/")
	if path == "" {
		return "", true
	}
	if len(path) > 2048 || strings.ContainsAny(path, "\x00\r\n") {
		return "", false
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return "", false
		}
	}
	return path, true
}
