package inventory

import "time"

// JobCount is how many jobs of one kind there are.
type JobCount struct {
	Kind     string `json:"kind"`
	Waiting  int    `json:"waiting"` // due now
	Planned  int    `json:"planned"` // due later
	Running  int    `json:"running"`
	Retrying int    `json:"retrying"` // failed, and will be tried again
	Done     int    `json:"done"`     // of late
	Failed   int    `json:"failed"`   // given up
}

// JobTrouble is a job whose last attempt failed.
type JobTrouble struct {
	ID      int64     `json:"id"`
	Kind    string    `json:"kind"`
	Subject string    `json:"subject"` // what it is about: a digest, an integration, a message
	GivenUp bool      `json:"given_up"`
	Attempt int       `json:"attempt"`
	Problem string    `json:"problem"`
	Next    time.Time `json:"next"` // when it is tried again; of what was given up: when it was due
}
