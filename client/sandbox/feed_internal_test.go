package sandbox

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/task"
)

// A child may have one piece on its way and ask for one more, and for none
// twice: nothing else makes its parent wait for ever.
func TestAChildThatAsksForTooMuch(t *testing.T) {
	f := newFeed(&Request{Inputs: []InputFile{{Path: "a", Size: 5 * task.PieceSize, inPieces: true}}})
	if err := f.ask(need{0, 3}); err != nil {
		t.Error(err)
	}
	if f.ask(need{0, 4}) == nil {
		t.Error("two pieces are on their way")
	}
	<-f.needs
	if f.ask(need{0, 3}) == nil {
		t.Error("a piece may be asked for again")
	}
	if err := f.ask(need{0, 0}); err != nil {
		t.Error(err)
	}
}

func TestWallStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, passed := time.Now(), make(chan time.Duration, 1)
		w := startWall(time.Minute, func() { passed <- time.Since(began) })
		for range 3 {
			time.Sleep(10 * time.Second)
			w.pause()
			time.Sleep(time.Hour)
			w.resume()
		}
		if got, want := <-passed, 3*time.Hour+time.Minute; got != want {
			t.Errorf("it passed after %v, want %v", got, want)
		}
		w.pause()
		w.end()
	})
}
