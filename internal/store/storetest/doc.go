// Package storetest holds what the store promises to tests, once for every database:
// Exercise is the conformance suite, Postgres gives a test a database of its own, and
// the builders make small images to record.
//
// It is imported by tests only.
package storetest
