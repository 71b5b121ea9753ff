// Package vex reads and writes OpenVEX: what makers say of flaws in their products.
//
// In: a document's statements become exceptions, where they say that a product does not
// have a flaw. Statements that say it has, or that it is not known yet, let nothing out
// of a count and are only numbered. Out: exceptions become statements.
//
// Documents that come in are hostile: their size is capped, and nothing in them is
// fetched. This package must never ask the store, and never decide what a finding is.
package vex
