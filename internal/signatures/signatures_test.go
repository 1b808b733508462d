package signatures_test

import (
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sheafgrid/sheaf/internal/signatures"
)

func sign(n int, seed uint64) []signatures.Signed {
	chacha := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	out := make([]signatures.Signed, n)
	for i := range out {
		public, private, err := ed25519.GenerateKey(chacha)
		if err != nil {
			panic(err)
		}
		copy(out[i].Key[:], public)
		if _, err := chacha.Read(out[i].Message[:]); err != nil {
			panic(err)
		}
		copy(out[i].Signature[:], ed25519.Sign(private, out[i].Message[:]))
	}
	return out
}

// Whatever bit is flipped, of one of many, is found.
func TestVerifyAll(t *testing.T) {
	for n := 1; n <= 20; n++ {
		batch := sign(n, uint64(n))
		if !signatures.VerifyAll(batch) {
			t.Errorf("%d good signatures are refused", n)
		}
		rnd := rand.New(rand.NewPCG(uint64(n), 1))
		for range 100 {
			i, bit := rnd.IntN(n), rnd.IntN(8*128)
			bad := batch[i]
			switch at := bit / 8; {
			case at < 32:
				bad.Key[at] ^= 1 << (bit % 8)
			case at < 64:
				bad.Message[at-32] ^= 1 << (bit % 8)
			default:
				bad.Signature[at-64] ^= 1 << (bit % 8)
			}
			changed := append([]signatures.Signed(nil), batch...)
			changed[i] = bad
			if signatures.VerifyAll(changed) {
				t.Errorf("%d signatures: bit %d of number %d was flipped, and nobody noticed", n, bit, i)
			}
		}
	}
	batch := sign(2, 3)
	batch[0].Signature, batch[1].Signature = batch[1].Signature, batch[0].Signature
	if signatures.VerifyAll(batch) {
		t.Error("two signatures that were exchanged are accepted")
	}
}

// VerifyAll never refuses what the standard library accepts.
func FuzzVerifyAll(f *testing.F) {
	good := sign(1, 1)[0]
	f.Add(good.Key[:], good.Message[:], good.Signature[:])
	f.Fuzz(func(t *testing.T, key, message, signature []byte) {
		s := sign(3, 2)
		copy(s[1].Key[:], key)
		copy(s[1].Message[:], message)
		copy(s[1].Signature[:], signature)
		if s[1].Verify() && !signatures.VerifyAll(s) {
			t.Errorf("%x is valid, and refused", s[1])
		}
	})
}

func BenchmarkVerifyAll(b *testing.B) {
	for _, n := range []int{1, 2, 4, 8, 16, 32, 64} {
		batch := sign(n, 1)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if !signatures.VerifyAll(batch) {
					b.Fatal("refused")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "us/signature")
		})
	}
}
