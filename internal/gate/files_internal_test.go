package gate

import "testing"

func TestMost(t *testing.T) {
	for _, k := range []struct {
		files        uint64
		wanted, want int
	}{
		{0, 8192, 8192}, // the system does not say
		{1 << 20, 8192, 8192},
		{1 << 63, 8192, 8192}, // no limit
		{9000, 8192, 7976},
		{1024, 8192, 512},
		{1024, 100, 100},
		{1, 8192, 1},
	} {
		if got := mostOf(k.wanted, k.files); got != k.want {
			t.Errorf("of %d wanted, with %d file descriptors, there can be %d, want %d", k.wanted, k.files, got, k.want)
		}
	}
}
