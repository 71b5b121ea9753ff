// Package report writes what is known of images in the forms that people and other
// programs read: findings as a table, JSON, SARIF, Markdown and so on, comparisons, and
// the tables that several commands share.
//
// In flow the nouns of inventory, out flow bytes on a writer that the caller gave. All
// text of them comes from images and feeds and may be hostile: control characters never
// reach a terminal, markup never a page, a formula never a spreadsheet.
//
// It must never look anything up, decide what counts, or write anywhere else.
package report
