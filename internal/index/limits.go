package index

import "time"

// Limits are absolute. What breaks one is a recorded problem: of the file or the
// layer where the rest can be kept, of the image where it cannot.
type Limits struct {
	LayerBytes   int64         // unpacked bytes of one layer
	LayerFiles   int           // entries of one layer whose paths are kept
	PathLength   int           // bytes of one path
	SpoolFile    int64         // bytes of one file that is read
	SpoolMemory  int64         // bytes of all files that are held in memory at once; more goes to a temporary file
	ArchiveDepth int           // archives in archives
	ArchiveBytes int64         // unpacked bytes of nested archives of one file
	Packages     int           // packages of one layer
	LayerTime    time.Duration // wall time of one layer
	ExtractTime  time.Duration // wall time of one file
}

// DefaultLimits suit a machine with 512 MiB for Tallyman.
func DefaultLimits() Limits {
	return Limits{
		LayerBytes:   64 << 30,
		LayerFiles:   5_000_000,
		PathLength:   4096,
		SpoolFile:    1 << 30,
		SpoolMemory:  64 << 20,
		ArchiveDepth: 8,
		ArchiveBytes: 2 << 30,
		Packages:     500_000,
		LayerTime:    30 * time.Minute,
		ExtractTime:  time.Minute,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	set := func(v *int64, def int64) {
		if *v <= 0 {
			*v = def
		}
	}
	setInt := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	set(&l.LayerBytes, d.LayerBytes)
	set(&l.SpoolFile, d.SpoolFile)
	set(&l.SpoolMemory, d.SpoolMemory)
	set(&l.ArchiveBytes, d.ArchiveBytes)
	setInt(&l.LayerFiles, d.LayerFiles)
	setInt(&l.PathLength, d.PathLength)
	setInt(&l.ArchiveDepth, d.ArchiveDepth)
	setInt(&l.Packages, d.Packages)
	set((*int64)(&l.LayerTime), int64(d.LayerTime))
	set((*int64)(&l.ExtractTime), int64(d.ExtractTime))
	return l
}
