// Package archtest holds only tests: they read the tables of ARCHITECTURE.md and
// fail when the code imports what the tables do not allow, when a package has no
// line or no comment, and when a function or file outgrows its budget.
package archtest
