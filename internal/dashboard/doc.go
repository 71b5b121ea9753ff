// Package dashboard is the pages: server-rendered HTML that reads from the ledger
// and changes integrations through the hub. A little script of our own adds comfort;
// every page works without it.
//
// In come requests of browsers, out go pages, CSV files and a stream of "something
// changed" for open pages. Each page is one file here and one template.
//
// It must never show a page without knowing who asks, never put a secret into one,
// never mark text from images and registries as safe, and never allow inline script
// or style.
package dashboard
