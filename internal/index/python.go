package index

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
)

func isPython(c candidate) bool {
	switch c.base {
	case "METADATA":
		return strings.HasSuffix(c.dir, ".dist-info/")
	case "PKG-INFO":
		return strings.HasSuffix(c.dir, ".egg-info/") || strings.HasSuffix(c.dir, "EGG-INFO/")
	}
	return strings.HasSuffix(c.base, ".egg-info") || strings.HasSuffix(c.base, ".egg")
}

func readPython(_ context.Context, in *input) (found, error) {
	if strings.HasSuffix(in.path, ".egg") {
		return readEgg(in)
	}
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	return pythonMetadata(b), nil
}

// readEgg reads a zipped egg's PKG-INFO.
func readEgg(in *input) (found, error) {
	zr, err := zip.NewReader(in.data, in.size)
	if err != nil {
		return found{}, fmt.Errorf("not an egg: %w", err)
	}
	for _, f := range zr.File {
		if f.Name != "EGG-INFO/PKG-INFO" {
			continue
		}
		rc, err := f.Open()
		if err != nil {
			return found{}, err
		}
		b, err := io.ReadAll(io.LimitReader(rc, 8<<20))
		rc.Close()
		if err != nil {
			return found{}, err
		}
		return pythonMetadata(b), nil
	}
	return found{}, nil
}

func pythonMetadata(b []byte) found {
	if i := bytes.Index(b, []byte("\n\n")); i >= 0 {
		b = b[:i] // the description follows
	}
	if i := bytes.Index(b, []byte("\n\r\n")); i >= 0 {
		b = b[:i]
	}
	h := paragraph(b, "Name", "Version", "License", "License-Expression")
	if h["Name"] == "" || !plainWord(h["Name"]) || !plainVersion(h["Version"]) {
		return found{}
	}
	licenses := oneLicense(h["License-Expression"])
	// Some put the whole text of the licence into the field.
	if l := h["License"]; licenses == nil && len(l) < 100 {
		licenses = oneLicense(l)
	}
	if licenses == nil {
		licenses = classified(b)
	}
	return found{pkgs: []pkg{{Type: "pypi", Name: h["Name"], Version: h["Version"], Licenses: licenses}}}
}

// classified reads "Classifier: License :: OSI Approved :: MIT License".
func classified(b []byte) []string {
	var out []string
	for _, line := range strings.Split(string(b), "\n") {
		c, ok := strings.CutPrefix(line, "Classifier: License :: ")
		if !ok {
			continue
		}
		if i := strings.LastIndex(c, " :: "); i >= 0 {
			c = c[i+4:]
		}
		if c = strings.TrimSpace(c); c != "OSI Approved" {
			out = append(out, oneLicense(c)...)
		}
	}
	return out
}
