// Package signatures verifies many Ed25519 signatures at once, for less than
// half of what each costs alone.
//
// It is pure but for the random numbers it draws, starts no goroutine and keeps
// no state.
package signatures

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"

	"filippo.io/edwards25519"
)

// Signed is a message of 32 bytes with what is said to be a key's signature.
type Signed struct {
	Key       [ed25519.PublicKeySize]byte
	Message   [32]byte
	Signature [ed25519.SignatureSize]byte
}

// Verify reports whether a signature is the key's.
func (s *Signed) Verify() bool { return ed25519.Verify(s.Key[:], s.Message[:], s.Signature[:]) }

// VerifyAll reports whether all signatures are their keys'. It is true where
// Verify is for each; it can be true where Verify is not only for a signature
// that the key's own holder has made so (by adding a point of small order). Do
// not use it where several machines must come to the same answer.
//
// With random z, the sum of z·(S·B − R − k·A) over all signatures is zero where
// each of them is, and by chance only with a probability of 2⁻¹²⁸ where one is
// not (Bernstein, Duif, Lange, Schwabe, Yang: High-speed high-security
// signatures, 2012, section 5).
func VerifyAll(batch []Signed) bool {
	if len(batch) == 1 {
		return batch[0].Verify()
	}
	random := make([]byte, 16*len(batch))
	if _, err := rand.Read(random); err != nil {
		return false // never, says crypto/rand
	}
	n := len(batch)
	scalars, points := make([]*edwards25519.Scalar, 2*n+1), make([]*edwards25519.Point, 2*n+1)
	ofB := edwards25519.NewScalar()
	for i := range batch {
		if !batch[i].add(random[16*i:16*i+16], ofB, scalars[2*i:2*i+2], points[2*i:2*i+2]) {
			return false
		}
	}
	scalars[2*n], points[2*n] = ofB, edwards25519.NewGeneratorPoint()
	sum := new(edwards25519.Point).VarTimeMultiScalarMult(scalars, points)
	return sum.MultByCofactor(sum).Equal(edwards25519.NewIdentityPoint()) == 1
}

// add works out a signature's part of the sum: what it adds to the factor of B,
// and the factors of R and of A.
func (s *Signed) add(random []byte, ofB *edwards25519.Scalar, scalars []*edwards25519.Scalar, points []*edwards25519.Point) bool {
	r, err := new(edwards25519.Point).SetBytes(s.Signature[:32])
	if err != nil {
		return false
	}
	a, err := new(edwards25519.Point).SetBytes(s.Key[:])
	if err != nil {
		return false
	}
	given, err := new(edwards25519.Scalar).SetCanonicalBytes(s.Signature[32:])
	if err != nil {
		return false
	}
	hash := sha512.New()
	hash.Write(s.Signature[:32])
	hash.Write(s.Key[:])
	hash.Write(s.Message[:])
	k, err := new(edwards25519.Scalar).SetUniformBytes(hash.Sum(nil))
	if err != nil {
		return false
	}
	var b [32]byte
	copy(b[:], random)
	z, err := new(edwards25519.Scalar).SetCanonicalBytes(b[:])
	if err != nil {
		return false
	}
	ofB.MultiplyAdd(z, given, ofB)
	scalars[0], points[0] = z.Negate(z), r
	scalars[1], points[1] = k.Multiply(k, z), a // z is negative by now
	return true
}
