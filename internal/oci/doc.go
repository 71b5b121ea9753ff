// Package oci is the door to images wherever they lie: a registry, an OCI layout
// directory, a "docker save" archive. Manifests, configs, attestations and layer
// streams come out; nothing is ever written anywhere.
//
// Everything that comes in is hostile: sizes are capped, every digest is
// verified, a descriptor's urls are never followed, and environment values,
// build arguments, history and labels are redacted before they leave this
// package. It must never know what a package or an advisory is, nor store
// anything.
package oci
