package sbom

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// spdxIDs are the identifiers that packages really use; others are written as
// names, which every reader accepts.
var spdxIDs = func() map[string]string {
	out := map[string]string{}
	for _, id := range strings.Fields(`0BSD AFL-2.1 AFL-3.0 AGPL-3.0-only AGPL-3.0-or-later Apache-1.1 Apache-2.0 Artistic-1.0 Artistic-2.0
		BlueOak-1.0.0 BSD-1-Clause BSD-2-Clause BSD-3-Clause BSD-4-Clause BSL-1.0 CC-BY-3.0 CC-BY-4.0 CC-BY-SA-4.0 CC0-1.0 CDDL-1.0 CDDL-1.1
		EPL-1.0 EPL-2.0 EUPL-1.2 FTL GPL-1.0-or-later GPL-2.0-only GPL-2.0-or-later GPL-3.0-only GPL-3.0-or-later HPND ICU ISC
		LGPL-2.0-only LGPL-2.0-or-later LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0-only LGPL-3.0-or-later MIT MIT-0 MPL-1.1 MPL-2.0 MulanPSL-2.0
		NCSA OFL-1.1 OpenSSL PHP-3.01 PostgreSQL PSF-2.0 Python-2.0 Ruby Unicode-3.0 Unicode-DFS-2016 Unlicense UPL-1.0 Vim W3C WTFPL X11 Zlib ZPL-2.1
		curl bzip2-1.0.6 Libpng TCL TCP-wrappers Sleepycat GPL-2.0 GPL-3.0 LGPL-2.1 LGPL-3.0 LGPL-2.0 AGPL-3.0 GPL-1.0`) {
		out[strings.ToLower(id)] = id
	}
	return out
}()

var licenseToken = regexp.MustCompile(`\(|\)|[^\s()]+`)

// expression writes a licence as an SPDX expression, if all of its words are
// known. ok is false for anything else.
func expression(s string) (string, bool) {
	var out []string
	operand, depth := false, 0
	for _, tok := range licenseToken.FindAllString(s, -1) {
		switch up := strings.ToUpper(tok); {
		case tok == "(" && !operand:
			depth++
		case tok == ")" && operand && depth > 0:
			depth--
		case (up == "AND" || up == "OR") && operand:
			tok, operand = up, false
		default:
			id, known := spdxIDs[strings.ToLower(strings.TrimSuffix(tok, "+"))]
			if !known || operand {
				return "", false
			}
			if strings.HasSuffix(tok, "+") {
				id += "+"
			}
			tok, operand = id, true
		}
		out = append(out, tok)
	}
	if !operand || depth != 0 {
		return "", false
	}
	s = strings.Join(out, " ")
	return strings.ReplaceAll(strings.ReplaceAll(s, "( ", "("), " )", ")"), true
}

// licenseRef names a licence that SPDX does not know.
func licenseRef(text string) string {
	s := sha256.Sum256([]byte(text))
	return "LicenseRef-" + hex.EncodeToString(s[:8])
}
