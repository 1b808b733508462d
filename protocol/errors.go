package protocol

import (
	"errors"
	"fmt"
)

// Code is the kind of a refusal. It crosses the wire; numbers are never reused.
type Code uint8

// The codes. A sender that meets one it does not know treats it as CodeInternal.
const (
	CodeOK           Code = 0
	CodeMalformed    Code = 1  // the bytes are no request
	CodeTooLarge     Code = 2  // over a limit in bytes or in number
	CodeBadSignature Code = 3  // signed by somebody else
	CodeWrongCluster Code = 4  // meant for another cluster
	CodeUnknownKey   Code = 5  // the key is not enrolled
	CodeAlreadyDone  Code = 6  // an older number of the session; nothing was changed
	CodeReusedNumber Code = 7  // the same number with another body
	CodeSession      Code = 8  // the session is unknown and too old to be opened
	CodeNotAllowed   Code = 9  // the sender may not do this
	CodeNotFound     Code = 10 // what the request names does not exist
	CodeConflict     Code = 11 // the name is taken, or the state does not allow it
	CodeInvalid      Code = 12 // well-formed, and cannot be accepted: the text says what to change
	CodeOverloaded   Code = 13 // come back later: RetryMillis
	CodeNoLeader     Code = 14 // the cluster is choosing a leader: try again, or another member
	CodeNoSpace      Code = 15 // no room for blobs
	CodeVersion      Code = 16 // the protocol's versions do not meet
	CodeMissingBlob  Code = 17 // a blob that the request names was not uploaded
	CodeInternal     Code = 18 // a fault of the coordinator
)

// Error is a refusal, told to whoever asked.
type Error struct {
	Code        Code   `msgpack:"c" json:"code"`
	Text        string `msgpack:"t" json:"error"`                            // what happened and what to do, for a person
	RetryMillis uint32 `msgpack:"r,omitempty" json:"retry_millis,omitempty"` // come back no sooner; 0: no advice
}

// Error returns the text for people.
func (e *Error) Error() string { return e.Text }

// Refuse makes an *Error.
func Refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// AsError returns the refusal inside err, or wraps any other error as a fault
// of the coordinator. It returns nil for nil.
func AsError(err error) *Error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	}
	return &Error{Code: CodeInternal, Text: err.Error()}
}

// HasCode reports whether err is, or wraps, a refusal with a code.
func HasCode(err error, code Code) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// Temporary reports whether the same request may succeed later, or elsewhere.
func (e *Error) Temporary() bool {
	return e.Code == CodeOverloaded || e.Code == CodeNoLeader || e.Code == CodeNoSpace || e.Code == CodeInternal
}

// HTTPStatus is the HTTP status that goes with a code.
func (c Code) HTTPStatus() int {
	switch c {
	case CodeOK:
		return 200
	case CodeMalformed:
		return 400
	case CodeTooLarge:
		return 413
	case CodeBadSignature, CodeUnknownKey:
		return 401
	case CodeNotAllowed:
		return 403
	case CodeNotFound:
		return 404
	case CodeAlreadyDone, CodeReusedNumber, CodeConflict, CodeSession, CodeWrongCluster:
		return 409
	case CodeInvalid, CodeMissingBlob:
		return 422
	case CodeOverloaded:
		return 429
	case CodeNoLeader:
		return 503
	case CodeNoSpace:
		return 507
	case CodeVersion:
		return 426
	}
	return 500
}
