package api

// ReadFar is readFar for tests of other packages.
var ReadFar = readFar //nolint:gochecknoglobals // only tests have it
