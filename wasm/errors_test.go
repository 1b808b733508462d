package wasm_test

import (
	"errors"
	"strings"
	"testing"
)

// wantError runs f and demands an error of a kind, with a text in it.
func wantError(tb testing.TB, name string, kind error, text string, f func() error) {
	tb.Helper()
	err := f()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), text) {
		tb.Errorf("%s: got %v, want %q with %q", name, err, kind, text)
	}
}
