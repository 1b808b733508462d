package httpapi

import (
	"crypto/ed25519"
	"sync"
	"testing"

	"github.com/sheafgrid/sheaf/internal/signatures"
)

// Each of many requests at the same time hears what is true of its own
// signature, whoever else's is wrong.
func TestVerifierTellsThemApart(t *testing.T) {
	v := newVerifier()
	var wg sync.WaitGroup
	for i := range 400 {
		private := ed25519.NewKeyFromSeed(append(make([]byte, 30), byte(i), byte(i>>8)))
		s := signatures.Signed{Key: [32]byte(private.Public().(ed25519.PublicKey)), Message: [32]byte{byte(i)}}
		s.Signature = [64]byte(ed25519.Sign(private, s.Message[:]))
		want := i%7 != 3
		if !want {
			s.Message[1]++
		}
		wg.Go(func() {
			if got := v.verify(s); got != want {
				t.Errorf("request %d: valid %v, want %v", i, got, want)
			}
		})
	}
	wg.Wait()
	if v.led || len(v.waiting) > 0 {
		t.Errorf("led: %v, waiting: %d", v.led, len(v.waiting))
	}
}
