package wasm

import (
	"errors"
	"fmt"
	"strconv"
	"unicode"
)

// Why a module is refused. Each refusal wraps one of these, and its text says
// what the program's author can change.
var (
	// ErrNotWasm: the bytes are something else, such as a web page, a program
	// for another machine, WebAssembly text, or a component.
	ErrNotWasm = errors.New("not a WebAssembly core module")

	// ErrInvalid: the module breaks the WebAssembly specification, by damage
	// or by the fault of the tool that made it.
	ErrInvalid = errors.New("not a valid WebAssembly module")

	// ErrUnsupported: the module uses a feature that does not behave the same
	// on every machine, that an engine lacks, or that escapes the meter.
	ErrUnsupported = errors.New("program cannot run on Sheaf")

	// ErrImport: the module needs something from its host that Sheaf does not
	// provide, or with another signature.
	ErrImport = errors.New("program needs what Sheaf does not provide")

	// ErrExport: the module lacks an export that Sheaf calls, or has one that
	// Sheaf keeps for itself.
	ErrExport = errors.New("program does not export what Sheaf expects")

	// ErrTooLarge: the module is valid but beyond a bound.
	ErrTooLarge = errors.New("program is too large")

	// ErrMeter: the version of the meter is not known here. A newer Sheaf may
	// know it.
	ErrMeter = errors.New("meter version is not known")
)

func invalid(at int, format string, args ...any) error {
	return fmt.Errorf("%w: %s (at byte %d); build it again, or fetch it again if it was copied", ErrInvalid, fmt.Sprintf(format, args...), at)
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: it %s", ErrUnsupported, fmt.Sprintf(format, args...))
}

func tooLarge(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrTooLarge, fmt.Sprintf(format, args...))
}

// clip keeps an error short and readable whatever a module's author named
// things.
func clip(s string) string {
	if len(s) > 80 {
		s = s[:77] + "..."
	}
	for _, c := range s {
		if !unicode.IsPrint(c) || c == unicode.ReplacementChar {
			return strconv.QuoteToASCII(s)
		}
	}
	return s
}
