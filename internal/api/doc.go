// Package api is the JSON interface over HTTP: everything that the commands and the
// pages do, under /api/v1, with an OpenAPI document made from the same table of
// routes, and the receiver of Artifactory's webhooks under /hooks.
//
// In come requests of people (a dashboard session), of machines (a bearer token with
// a scope) and of the commands in the same process (AsLocal). Out go the nouns of
// package inventory as they are, or a problem document with the remedy.
//
// It must never answer anything but health without knowing who asks, never show a
// secret or the body of a registry's answer, never open an image and never call a
// registry except to test a connection.
package api
