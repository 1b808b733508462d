package freeport_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/sheafgrid/sheaf/internal/freeport"
)

func TestLoopback(t *testing.T) {
	ports, err := freeport.Loopback(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, p := range ports {
		if p >= 32_768 || seen[p] {
			t.Errorf("port %d is one of the system's, or came twice", p)
		}
		seen[p] = true
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			t.Errorf("port %d is not free: %v", p, err)
			continue
		}
		defer l.Close()
	}
	if len(seen) != 20 {
		t.Errorf("%d ports, want 20", len(seen))
	}
}
