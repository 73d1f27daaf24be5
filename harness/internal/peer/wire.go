package peer

// request is what a Conn sends, one JSON value after another.
type request struct {
	ID uint64 `json:"id"`
	Sequence
}

// event is what a peer sends about a request.
type event struct {
	ID    uint64 `json:"id"`
	Index int    `json:"index"`
	// Result is nil where the call begins.
	Result *Result `json:"result,omitempty"`
	// Last marks the last event of a request.
	Last bool `json:"last,omitempty"`
	// Refused is why the peer made none of the calls.
	Refused string `json:"refused,omitempty"`
}
