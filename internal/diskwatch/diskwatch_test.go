package diskwatch_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/internal/diskwatch"
)

func TestHungWriteIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := diskwatch.New()
		short := w.Begin("a blob", "/fast")
		slow := w.Begin("the log", "/slow")
		began := time.Now()
		time.Sleep(5 * time.Second)
		short.End()
		err := w.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "writing the log in /slow") {
			t.Errorf("got %v, want that writing the log in /slow hangs", err)
		}
		if d := time.Since(began); d <= diskwatch.Hangs || d > diskwatch.Hangs+2*time.Second {
			t.Errorf("it was noticed after %s, want soon after %s", d, diskwatch.Hangs)
		}
		slow.End()
		if w.Err() != err || w.Fail(errors.New("another")) != err {
			t.Errorf("the first error does not stay: %v", w.Err())
		}
	})
}

// A slow sender is no slow disk.
func TestTimeElsewhereDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := diskwatch.New()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() {
			o := w.Begin("a blob", "/blobs")
			for range 4 {
				o.Elsewhere(func() { time.Sleep(9 * time.Second) })
				time.Sleep(5 * time.Second)
			}
			o.End()
		}()
		if err := w.Run(ctx); err != nil {
			t.Errorf("got %v, want nothing: no single write took too long", err)
		}
	})
}

func TestFirstErrorCounts(t *testing.T) {
	w := diskwatch.New()
	first := errors.New("first")
	if w.Err() != nil || w.Fail(first) != first || w.Fail(errors.New("second")) != first {
		t.Errorf("got %v, want the first", w.Err())
	}
	if err := w.Run(t.Context()); err != first {
		t.Errorf("got %v, want the first", err)
	}
}
