package inventory

import (
	"errors"
	"fmt"
)

// The kinds of error. A door translates what the outside says into one of them,
// once; everything above asks errors.Is. Only ErrUnavailable is worth a retry.
var (
	ErrNotFound     = errors.New("not found")
	ErrInvalid      = errors.New("invalid")
	ErrConflict     = errors.New("conflict")
	ErrUnauthorized = errors.New("unauthorized")
	ErrForbidden    = errors.New("forbidden")
	ErrUnavailable  = errors.New("unavailable")
	ErrUnsupported  = errors.New("unsupported")
)

// Error is a sentence for people, with what to do about it, and its kind.
type Error struct {
	Kind   error  // one of the kinds above
	Msg    string // what is wrong, naming the thing
	Remedy string // what to do; may be empty
	Err    error  // the cause; may be nil, never shown to people who cannot act on it
}

// Errorf makes an Error of a kind; %w in the format keeps the cause.
func Errorf(kind error, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Msg: err.Error(), Err: errors.Unwrap(err)}
}

// WithRemedy sets what to do about it and returns e.
func (e *Error) WithRemedy(format string, args ...any) *Error {
	e.Remedy = fmt.Sprintf(format, args...)
	return e
}

func (e *Error) Error() string {
	if e.Remedy == "" {
		return e.Msg
	}
	return e.Msg + " (" + e.Remedy + ")"
}

// Unwrap makes errors.Is see both the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}
