package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/index"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// toStderr is what --print-payload means without a file.
const toStderr = "-"

func addPayloadFlag(cmd *cobra.Command, to *string) {
	fs := cmd.Flags()
	fs.StringVar(to, "print-payload", "", "with --server: show what is sent, one JSON object a line, on stderr or in =FILE")
	fs.Lookup("print-payload").NoOptDefVal = toStderr
}

// showPayload opens what the payload is shown on.
func (a *app) showPayload(w *watching, to string) (done func(), err error) {
	switch {
	case to == "":
		return func() {}, nil
	case a.cfg.Server == "":
		return nil, inventory.Errorf(inventory.ErrInvalid, "--print-payload shows what is sent to a server, and nothing is: there is no --server")
	case to == toStderr:
		w.payload = a.stderr
		return func() {}, nil
	}
	file, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrForbidden, "--print-payload=%s: %w", to, cause(err)).WithRemedy("name a file that this user may write")
	}
	w.payload = file
	return func() { file.Close() }, nil
}

// payloadPrinter writes what is sent, one JSON object a line, with the records of layers
// taken apart.
func payloadPrinter(w io.Writer) func(method, path string, body []byte) {
	var mu sync.Mutex
	return func(method, path string, body []byte) {
		line := struct {
			Method string          `json:"method"`
			Path   string          `json:"path"`
			Body   json.RawMessage `json:"body"`
			Record any             `json:"record,omitempty"`
		}{Method: method, Path: path, Body: body}
		var rec inventory.LayerRecord
		if strings.HasSuffix(path, "/layers") && json.Unmarshal(body, &rec) == nil {
			if shown, err := index.Describe(rec.Body); err == nil {
				line.Record = shown
			}
		}
		b, err := json.Marshal(line)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			fmt.Fprintf(w, "%s %s cannot be shown: %v\n", method, path, err)
			return
		}
		_, _ = w.Write(append(b, '\n'))
	}
}
