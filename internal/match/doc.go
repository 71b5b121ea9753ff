// Package match decides which advisories hit which packages, and says why.
//
// In flow packages (as index recorded them) and advisories (as the advisory door read
// them); out flow verdicts: one for each flaw of a package version, with its severity,
// the versions that fix it, the range that matched and the order of versions used.
// A verdict belongs to a package version, not to an image: what a new advisory costs is
// the packages that it names, however many images hold them.
//
// It must never open an image, never speak SQL, and never take what it cannot decide
// for clean: a package whose version or ecosystem cannot be judged is an Unknown. It
// alone knows osv-scalibr's order of versions.
package match
