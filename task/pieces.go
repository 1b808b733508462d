package task

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
)

// ErrBadPieces is wrapped by every error about a list of pieces.
var ErrBadPieces = errors.New("list of pieces is not valid")

const (
	// PieceSize is how many bytes of a large input are named, fetched and
	// verified together; the last piece may have fewer.
	PieceSize = 1 << 20

	// PiecesFrom is the size from which on publishers list an input's pieces,
	// in bytes. A smaller one is fetched whole: a list would save little.
	PiecesFrom = 4<<20 + 1
)

// Pieces is how many pieces a file of so many bytes has.
func Pieces(size int64) int64 { return (size + PieceSize - 1) / PieceSize }

// PieceList is the digests of a file's pieces, in order, one after the other.
// Its own digest is what an input names.
type PieceList []byte

// Check refuses a list that cannot be that of a file of so many bytes.
func (l PieceList) Check(size int64) error {
	if want := PieceListSize(size); size < 0 || int64(len(l)) != want {
		return fmt.Errorf("%w: it has %d bytes, that of a file of %d bytes has %d", ErrBadPieces, len(l), size, want)
	}
	return nil
}

// At is the digest of piece n, which must be less than Pieces of the file's
// size.
func (l PieceList) At(n int64) Digest { return Digest(l[n*sha256.Size:][:sha256.Size]) }

// PieceListSize is how many bytes the list of a file has.
func PieceListSize(size int64) int64 { return Pieces(size) * sha256.Size }

// PieceLister makes the list of what is written to it. The zero PieceLister is
// ready.
type PieceLister struct {
	list PieceList
	hash hash.Hash
	n    int // bytes of the piece that has begun
}

// Write takes the next bytes of the file. It never fails.
func (l *PieceLister) Write(b []byte) (int, error) {
	all := len(b)
	for len(b) > 0 {
		if l.hash == nil {
			l.hash = sha256.New()
		}
		k := min(len(b), PieceSize-l.n)
		l.hash.Write(b[:k])
		b = b[k:]
		if l.n += k; l.n == PieceSize {
			l.end()
		}
	}
	return all, nil
}

func (l *PieceLister) end() {
	l.list = l.hash.Sum(l.list)
	l.hash.Reset()
	l.n = 0
}

// List ends the last piece and returns the list.
func (l *PieceLister) List() PieceList {
	if l.n > 0 {
		l.end()
	}
	return l.list
}
