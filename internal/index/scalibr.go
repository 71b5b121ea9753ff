package index

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"sync"

	cpb "github.com/google/osv-scalibr/binary/proto/config_go_proto"
	scalibr "github.com/google/osv-scalibr/extractor"
	"github.com/google/osv-scalibr/extractor/filesystem"
	scalibrlog "github.com/google/osv-scalibr/log"
)

// borrow runs an extractor of osv-scalibr on one file, which it sees alone: a
// reader that looks for its neighbours finds none, because another layer may
// have them.
func borrow(ctx context.Context, start func(*cpb.PluginConfig) (filesystem.Extractor, error), path string, body []byte) ([]*scalibr.Package, error) {
	silence()
	ex, err := start(&cpb.PluginConfig{})
	if err != nil {
		return nil, fmt.Errorf("start the reader: %w", err)
	}
	got, err := ex.Extract(ctx, &filesystem.ScanInput{
		FS: emptyFS{}, Path: path, Info: fileInfo{name: path, size: int64(len(body))}, Reader: bytes.NewReader(body),
	})
	return got.Packages, err
}

// silence keeps the extractors from writing what an image says to standard error:
// they log through one logger of their module.
var silence = sync.OnceFunc(func() { scalibrlog.SetLogger(noLog{}) })

type noLog struct{}

func (noLog) Errorf(string, ...any) {}
func (noLog) Error(...any)          {}
func (noLog) Warnf(string, ...any)  {}
func (noLog) Warn(...any)           {}
func (noLog) Infof(string, ...any)  {}
func (noLog) Info(...any)           {}
func (noLog) Debugf(string, ...any) {}
func (noLog) Debug(...any)          {}

// emptyFS is the file system around a borrowed extractor.
type emptyFS struct{}

func (emptyFS) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (emptyFS) Stat(name string) (fs.FileInfo, error) {
	return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

func (emptyFS) ReadDir(name string) ([]fs.DirEntry, error) {
	return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
}
