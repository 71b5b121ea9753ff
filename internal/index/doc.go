// Package index answers one question: what is inside? A layer is read once, as a
// stream, and becomes a record; records on top of each other become an image.
//
// In flow manifests, configs and layer streams (internal/oci); out flow layer
// records, chains with what each adds and removes, and images, through Ledger. A
// layer that the ledger knows is never downloaded again. Bills of materials that
// somebody attached are read (internal/sbom) and held beside ours; they add nothing.
//
// A layer's record knows nothing of other layers. Whatever depends on them (which
// file wins, who owns it, which distribution, where a link leads) is settled when
// records are squashed. The truth to hold that to: the squashed result equals one
// reading of the flattened root file system.
//
// This package must never match advisories, never write SQL, never follow a link
// out of an image, and never let an image's content crash it: a broken file is a
// recorded problem of its layer.
package index
