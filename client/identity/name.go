package identity

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/sheafgrid/sheaf/task"
)

// The lists are frozen: a word that changes would change people's names.
var (
	//go:embed adjectives.txt
	adjectives string
	//go:embed animals.txt
	animals string
)

// listWords is how many words each list has: a power of two, so that each is
// as likely as any other.
const listWords = 128

// Name is the public name that a key has until its owner chooses another, such
// as "amber-heron-27". It follows from the key alone and tells nothing about
// the machine. Two keys in a million and a half share one: the key is what
// tells them apart.
func Name(key task.Key) string {
	sum := task.Sum(append([]byte("sheaf name 1\n"), key[:]...))
	return fmt.Sprintf("%s-%s-%d", word(adjectives, sum[0]), word(animals, sum[1]), 10+binary.BigEndian.Uint32(sum[2:])%90)
}

// word is one line of a list.
func word(list string, n byte) string { return strings.Fields(list)[n%listWords] }
