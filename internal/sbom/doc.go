// Package sbom writes and reads bills of materials.
//
// Out: an inventory.SBOM as a list, JSON, CycloneDX 1.6 or SPDX 2.3, the same
// bytes for the same image every time. In: a CycloneDX or SPDX document of any
// tool becomes packages, each purl kept byte for byte.
//
// Documents that come in are hostile: sizes are capped and nothing in them is
// followed. This package must never open an image, ask a registry or the store.
package sbom
