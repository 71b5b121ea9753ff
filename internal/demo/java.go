package demo

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"strings"
)

// archive packs entries as a jar, in the order given. Nested jars are stored, not
// compressed, as Spring Boot's loader asks.
func archive(entries []file) (string, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, e := range entries {
		header := &zip.FileHeader{Name: e.path, Method: zip.Deflate, Modified: stamp()}
		if strings.HasSuffix(e.path, ".jar") {
			header.Method = zip.Store
		}
		entry, err := w.CreateHeader(header)
		if err != nil {
			return "", fmt.Errorf("add %s to a jar: %w", e.path, err)
		}
		if _, err := io.WriteString(entry, e.body); err != nil {
			return "", fmt.Errorf("add %s to a jar: %w", e.path, err)
		}
	}
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("finish a jar: %w", err)
	}
	return out.String(), nil
}

// jar is one Maven artefact with the properties that Maven puts into it.
func jar(group, artefact, version string) (string, error) {
	at := "META-INF/maven/" + group + "/" + artefact + "/"
	return archive([]file{
		{path: "META-INF/MANIFEST.MF", body: "Manifest-Version: 1.0\r\nCreated-By: Maven JAR Plugin 3.3.0\r\nBuild-Jdk-Spec: 17\r\nImplementation-Title: " + artefact + "\r\nImplementation-Version: " + version + "\r\n\r\n"},
		{path: at + "pom.properties", body: "artifactId=" + artefact + "\ngroupId=" + group + "\nversion=" + version + "\n"},
		{path: at + "pom.xml", body: "<project><modelVersion>4.0.0</modelVersion><groupId>" + group + "</groupId><artifactId>" + artefact + "</artifactId><version>" + version + "</version></project>\n"},
	})
}

// jars are the archives of a set, each a file of its own below dir.
func jars(dir, set string, when age) ([]file, error) {
	rows, err := table("maven.txt", set, 5)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, r := range rows {
		version := upgraded(when, r[2], r[3])
		body, err := jar(r[0], r[1], version)
		if err != nil {
			return nil, err
		}
		files = append(files, file{path: dir + "/" + r[1] + "-" + version + ".jar", body: body})
	}
	return files, nil
}

// bootJar is an application archive that holds its libraries, as Spring Boot
// builds it. The application's own artefact stands in its root.
func bootJar(group, artefact, version, set string, when age) (string, error) {
	libraries, err := jars("BOOT-INF/lib", set, when)
	if err != nil {
		return "", err
	}
	at := "META-INF/maven/" + group + "/" + artefact + "/"
	entries := append([]file{
		{path: "META-INF/MANIFEST.MF", body: "Manifest-Version: 1.0\r\nMain-Class: org.springframework.boot.loader.JarLauncher\r\nImplementation-Title: " + artefact + "\r\nImplementation-Version: " + version + "\r\nSpring-Boot-Lib: BOOT-INF/lib/\r\n\r\n"},
		{path: at + "pom.properties", body: "artifactId=" + artefact + "\ngroupId=" + group + "\nversion=" + version + "\n"},
	}, libraries...)
	return archive(entries)
}
