// Package inventory holds Tallyman's nouns: integrations, tags, images, layers,
// packages, advisories, findings, and the kinds of error that cross package
// borders. The JSON tags are the shapes of the contract (docs/api.md): the same
// struct is what the store reads, the API sends and the commands print.
//
// It imports the standard library only, does no I/O, and must never know how
// anything is stored, fetched or shown.
//
// Words: an integration is one connection to one registry. A repository key is
// an Artifactory repository; a repository is key + image name. A tag points to
// a digest now. An image is one platform manifest; an index is a list of them.
// A layer is content under its diff ID. A chain is a stack of layers under its
// chain ID. A package is a purl with its distribution. A finding is a package
// and an advisory. Digests are always written "sha256:<64 hex>".
package inventory
