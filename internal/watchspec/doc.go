// Package watchspec reads what people already type: the --registry string of
// "docker scout watch", the JSON file of Docker's Artifactory agent, and the
// times of its --backfill-from.
//
// Text flows in; integrations, their secrets and notes for the user flow out. It
// does no I/O, reads no environment, and must never guess where the text is
// wrong: it names the part and what to write instead.
package watchspec
