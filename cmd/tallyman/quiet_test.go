package main

import (
	"io"
	"log"
)

// quiet is a logger of the old kind that says nothing, for a registry that wants one.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
