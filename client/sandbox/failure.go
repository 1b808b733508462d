package sandbox

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxFailureText bounds what the child says about why there is no outcome.
const maxFailureText = 4 << 10

// failures are the errors that the child reports, by the number that stands
// for each in a frame. Numbers are never reused.
var failures = [...]error{1: ErrBadRequest, 2: ErrBadProgram, 3: ErrMeter, 4: ErrEngine}

// encodeFailure makes the frame that reports err. What is none of failures is
// the engine's.
func encodeFailure(err error) []byte {
	code := byte(len(failures) - 1)
	for i, known := range failures {
		if known != nil && errors.Is(err, known) {
			code = byte(i)
			break
		}
	}
	text := strings.TrimPrefix(err.Error(), failures[code].Error()+": ")
	b := append(newFrame(1+len(text)), code)
	return append(b, text[:min(len(text), maxFailureText)]...)
}

// decodeFailure reads the payload of a failure. The second error says that it
// is malformed. The text is a stranger's: it may name parts of a program, so
// what is not text in it goes.
func decodeFailure(payload []byte) (failure, malformed error) {
	if len(payload) == 0 || int(payload[0]) >= len(failures) || failures[payload[0]] == nil {
		return nil, errors.New("failure of an unknown kind")
	}
	return fmt.Errorf("%w: %s", failures[payload[0]], cleanText(string(payload[1:]))), nil
}

// cleanText replaces what a stranger should not show on a terminal or a page:
// control characters, characters that turn the direction of writing, and what
// is no text.
func cleanText(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) && r != '\n' && r != '\t' {
			return '?'
		}
		return r
	}, text)
}
