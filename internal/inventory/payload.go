package inventory

// Payload is what a far watcher would send of one image that its server knows nothing
// of. Everything that it sends of an image is here, under the names that it is sent by.
type Payload struct {
	Sighting Sighting       `json:"sighting"`
	Layers   []PayloadLayer `json:"layers"`
	Image    ImageReport    `json:"image"`
}

// PayloadLayer is the record of one layer, taken apart.
type PayloadLayer struct {
	DiffID string `json:"diff_id"`
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	Bytes  int    `json:"record_bytes"` // of the record as it is sent
	Record any    `json:"record"`       // what is in it; absent where the ledger has none
}
