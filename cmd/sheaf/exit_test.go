package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/sheafgrid/sheaf/client/remote"
)

// Scripts go by the exit code, whichever command it was and wherever in it the
// cluster went away.
func TestExitCodes(t *testing.T) {
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	gone := fmt.Errorf("job abc: %w; gave up after 48s", remote.ErrUnreachable)
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		want int
	}{
		{"nothing wrong", t.Context(), nil, exitOK},
		{"some failure", t.Context(), errors.New("x"), exitFailed},
		{"the cluster went away", t.Context(), gone, exitUnavailable},
		{"a code of its own", t.Context(), failure{gone, exitUsage}, exitUsage},
		{"Ctrl-C", interrupted, fmt.Errorf("watching: %w", context.Canceled), exitInterrupted},
	} {
		if got := exitCode(c.ctx, c.err); got != c.want {
			t.Errorf("%s: exit %d, want %d", c.name, got, c.want)
		}
	}
}
