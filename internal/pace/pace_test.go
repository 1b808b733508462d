package pace_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/internal/pace"
)

func TestRateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pace.New(1 << 20)
		began := time.Now()
		for range 100 {
			if err := p.Wait(t.Context(), 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 98*time.Second || took > 101*time.Second {
			t.Errorf("100 MiB at 1 MiB/s took %s", took)
		}
		time.Sleep(time.Hour) // idleness is not saved up
		began = time.Now()
		for range 10 {
			if err := p.Wait(t.Context(), 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 8*time.Second {
			t.Errorf("after an hour's pause, 10 MiB took %s", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.Wait(ctx, 1<<30); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
		if err := pace.New(0).Wait(t.Context(), 1<<40); err != nil {
			t.Errorf("without a limit: %v", err)
		}
	})
}
