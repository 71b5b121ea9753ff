// Package discover finds out which tags exist now: it compares what a registry
// lists with what the ledger believes and records the difference.
//
// One integration and its registry flow in; looks (sightings, tags that are
// gone, cursors) flow out to the ledger, which queues what has to be indexed.
// The listing is the truth: a webhook only makes the next look sooner, and
// losing one loses nothing.
//
// It must never declare a tag gone because a listing lacks it: Artifactory
// leaves out what a user may not see, so a withdrawn permission looks like a
// deletion. It never opens an image and never writes SQL.
package discover
