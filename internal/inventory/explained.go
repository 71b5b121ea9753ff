package inventory

import "time"

// Explained is why an image has a flaw, or why it has not, as `explain --format json`
// prints it.
type Explained struct {
	Reference      string     `json:"reference"`
	Digest         string     `json:"digest"`
	Platform       string     `json:"platform,omitempty"`
	ID             string     `json:"id"`
	Affected       bool       `json:"affected"`
	Known          bool       `json:"known"`  // false: nothing can be said
	Reason         string     `json:"reason"` // the answer in one sentence
	AdvisoriesAsOf *time.Time `json:"advisories_as_of,omitempty"`
	Findings       []Because  `json:"findings"`
	// Others are packages that an advisory of the flaw names, and that do not have it.
	Others []Judgement `json:"others"`
}

// Because is a finding with what decided and where it comes from.
type Because struct {
	Finding
	Reason      string `json:"reason"`
	Instruction string `json:"instruction,omitempty"` // what made the layer
	Base        string `json:"base,omitempty"`        // the base image that brought the layer
}
