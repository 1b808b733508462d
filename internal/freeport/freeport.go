// Package freeport finds ports on loopback for processes that are about to be
// started, or started again.
//
// The system itself would give one from the range that it also takes for
// outgoing connections: between the asking and the listening, or while a
// process that was killed is down, any connection may be given the same one.
// So these are from below that range. Another process that listens can still
// come first; whoever starts a listener sees that at once.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// The ports tried. Linux takes 32768 and above for outgoing connections, other
// systems 49152 and above.
const (
	lowest  = 10_000
	highest = 31_000
)

// tries is how many ports are tried for each that is wanted.
const tries = 200

// Loopback returns n different ports of 127.0.0.1 on which nobody listens.
func Loopback(n int) ([]int, error) {
	var ports []int
	for left := n * tries; len(ports) < n; left-- {
		if left == 0 {
			return nil, fmt.Errorf("no %d free ports on 127.0.0.1 between %d and %d", n, lowest, highest)
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", lowest+rand.IntN(highest-lowest)))
		if err != nil {
			continue // it is in use
		}
		defer l.Close() // all are held until all are found
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
