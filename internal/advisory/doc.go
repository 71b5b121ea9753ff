// Package advisory is the door to advisory feeds: OSV records, CISA's catalogue of
// known exploited vulnerabilities (KEV) and exploit prediction scores (EPSS), from
// files or from a bucket laid out like OSV's public one.
//
// In flow files and HTTP answers that may be damaged, huge or hostile; out flow
// batches of inventory.Advisory, inventory.KEV and inventory.EPSS to a Sink. A feed
// that is incomplete or damaged changes nothing. A record that is malformed is
// counted and named, and the rest of its feed is taken.
//
// It must never decide whether a package is affected (match does), never know how
// anything is stored, and never send credentials to another host than the base's.
package advisory
