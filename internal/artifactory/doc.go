// Package artifactory is the door to JFrog Artifactory and, over the same Docker
// protocol, to plain OCI registries: the forms of an address, credentials, which
// repositories there are, which tags point to which digests now, and what a
// webhook says.
//
// Addresses, secrets and repository keys flow in; sightings, repositories,
// hints and an HTTP client for manifests and blobs flow out. Whatever the server
// answers is turned into the kinds of error of package inventory here, once.
//
// It only reads. It must never send credentials to a host that the user did not
// name, never fill the cache of a remote repository, never trust a server's idea
// of its own address, and never hammer: one probe checks a credential before
// anything runs in parallel, and a server that says "wait" is waited for.
package artifactory
