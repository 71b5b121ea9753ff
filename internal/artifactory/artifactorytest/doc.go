// Package artifactorytest is an Artifactory inside the process, over real HTTP:
// what tests are held against and what the demo watches.
//
// In flow images, users, permissions and faults, by Go calls or over HTTP as a
// registry client would bring them; out flow the answers of a real Artifactory,
// its quirks included, its webhooks, and a count of what was asked of it.
// Everything lives in memory and is gone with the process.
//
// It must never import testing or a test server (a shipped command uses it),
// never be imported by anything but commands and tests, and never be kinder
// than the real thing: where the real one refuses, so does this one.
package artifactorytest
