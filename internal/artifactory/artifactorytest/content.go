package artifactorytest

import (
	"crypto/md5" // Artifactory reports these sums; nothing trusts them
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
)

// content is bytes by their SHA-256; however many files hold them, once.
type content struct {
	hex  string
	data []byte
	doc  *manifest // the parsed document, when the bytes are a manifest

	sums      sync.Once // the weak sums are asked for rarely and cost as much as the strong one
	sha1, md5 string
}

func newContent(data []byte) *content {
	sum := sha256.Sum256(data)
	return &content{hex: hex.EncodeToString(sum[:]), data: data}
}

func (c *content) size() int64    { return int64(len(c.data)) }
func (c *content) digest() string { return "sha256:" + c.hex }

func (c *content) weakSums() (sha, md string) {
	c.sums.Do(func() {
		s := sha1.Sum(c.data)
		m := md5.Sum(c.data)
		c.sha1, c.md5 = hex.EncodeToString(s[:]), hex.EncodeToString(m[:])
	})
	return c.sha1, c.md5
}

// hexOf returns the hex part of a sha256 digest.
func hexOf(digest string) (string, bool) {
	rest, ok := strings.CutPrefix(digest, "sha256:")
	return rest, ok && isHex(rest)
}

func isHex(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') {
			return false
		}
	}
	return true
}
