package demo

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// goProgram is a small ELF file with the build information of a Go program: what
// `go version -m` reads, and no code. The demo's one whole Go program is the
// running executable; these stand for programs built by older releases of Go.
func goProgram(arch, goVersion, module, version, set string, when age) (string, error) {
	rows, err := table("gomods.txt", set, 4)
	if err != nil {
		return "", err
	}
	var info strings.Builder
	fmt.Fprintf(&info, "path\t%s/cmd/server\nmod\t%s\t%s\t\n", module, module, version)
	for _, r := range rows {
		// No sums: they would be made up.
		fmt.Fprintf(&info, "dep\t%s\t%s\t\n", r[0], upgraded(when, r[1], r[2]))
	}
	fmt.Fprintf(&info, "build\t-compiler=gc\nbuild\tCGO_ENABLED=0\nbuild\tGOARCH=%s\nbuild\tGOOS=linux\n", arch)
	return elf(arch, buildInfo(goVersion, info.String())), nil
}

// buildInfo is the blob that the Go linker writes since Go 1.18: a 32-byte header,
// then the two strings, each after its length.
func buildInfo(goVersion, modules string) []byte {
	const inline = 2
	// The marks around the modules are those of cmd/go, whatever they hold: readers
	// cut 16 bytes from each end.
	const start, end = "\x30\x77\xaf\x0c\x92\x74\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6", "\xf9\x32\x43\x31\x86\x18\x20\x72\x00\x82\x42\x10\x41\x16\xd8\xf2"
	blob := make([]byte, 32)
	copy(blob, "\xff Go buildinf:")
	blob[14], blob[15] = 8, inline
	for _, s := range []string{goVersion, start + modules + end} {
		blob = binary.AppendUvarint(blob, uint64(len(s)))
		blob = append(blob, s...)
	}
	return blob
}

// elf wraps data into the smallest executable file that readers accept: one header
// and one writable segment.
func elf(arch string, data []byte) string {
	const (
		headers   = 64 + 56
		base      = 0x400000
		machine64 = 62  // EM_X86_64
		machineA  = 183 // EM_AARCH64
	)
	machine := uint16(machine64)
	if arch == "arm64" {
		machine = machineA
	}
	at := uint64(128) // after the headers, aligned
	var out bytes.Buffer
	out.WriteString("\x7fELF\x02\x01\x01\x00")
	for _, v := range []any{
		[8]byte{},
		uint16(2), machine, uint32(1),
		uint64(base + at), uint64(64), uint64(0), // entry, program headers, no sections
		uint32(0), uint16(64), uint16(56), uint16(1), uint16(64), uint16(0), uint16(0),
		uint32(1), uint32(6), at, base + at, base + at, // PT_LOAD, read and write
		uint64(len(data)), uint64(len(data)), uint64(64),
		[128 - headers]byte{},
	} {
		// Writing fixed-size values to a buffer cannot fail.
		_ = binary.Write(&out, binary.LittleEndian, v)
	}
	out.Write(data)
	return out.String()
}
