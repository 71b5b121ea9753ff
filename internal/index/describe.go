package index

import "encoding/hex"

// Described is a layer's record as people can read it: everything that is in it.
type Described struct {
	Files     []DescribedFile `json:"files"` // that an extractor read, and what was in them
	Paths     int             `json:"paths"` // written by the layer; of these only hashes are kept
	Whiteouts []string        `json:"whiteouts"`
	Opaque    []string        `json:"opaque"`
	Links     [][2]string     `json:"links"`      // symbolic: path, target
	HardLinks [][2]string     `json:"hard_links"` // path, target
	Problems  [][2]string     `json:"problems"`   // path, problem
}

// DescribedFile is one file that was read.
type DescribedFile struct {
	Path     string   `json:"path"`
	Size     int64    `json:"size"`
	SHA256   string   `json:"sha256"`
	Packages []pkg    `json:"packages"`
	Owns     []string `json:"owns"` // packages whose files it lists; of the files only hashes are kept
	Text     string   `json:"text,omitempty"`
}

// Describe takes apart the body of a layer's record.
func Describe(body []byte) (Described, error) {
	rec, err := newCodec().decode(body)
	if err != nil {
		return Described{}, err
	}
	d := Described{
		Files: []DescribedFile{}, Paths: len(rec.Written) + len(rec.Dirs), Whiteouts: append([]string{}, rec.Whiteouts...),
		Opaque: append([]string{}, rec.Opaque...), Links: pairs(rec.Links), HardLinks: pairs(rec.Hard), Problems: [][2]string{},
	}
	for _, p := range rec.Problems {
		d.Problems = append(d.Problems, [2]string{p.Path, p.Text})
	}
	for _, f := range rec.Files {
		one := DescribedFile{Path: f.Path, Size: f.Size, SHA256: hex.EncodeToString(f.SHA256[:]), Packages: append([]pkg{}, f.Pkgs...), Owns: []string{}, Text: f.Text}
		for _, o := range f.Owns {
			one.Owns = append(one.Owns, o.Name)
		}
		d.Files = append(d.Files, one)
	}
	return d, nil
}

func pairs(links []link) [][2]string {
	out := [][2]string{}
	for _, l := range links {
		out = append(out, [2]string{l.Path, l.Target})
	}
	return out
}
