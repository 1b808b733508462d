package examples_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tetratelabs/wazero"
)

const (
	count = "primes/count.wasm"
	sum   = "primes/sum.wasm"
)

// TestCount compares with the literature: OEIS A006880 for primes, A007508 for
// pairs of twins.
func TestCount(t *testing.T) {
	e := newEngine(t, wazero.NewRuntimeConfig())
	for _, c := range []struct {
		from, to, primes, twins int64
	}{
		{0, 10, 4, 2},
		{0, 100, 25, 8},
		{0, 1_000, 168, 35},
		{0, 1_000_000, 78_498, 8_169},
		{0, 100_000_000, 5_761_455, 440_312},
		{0, 1, 0, 0},
		{0, 2, 0, 0},
		{0, 3, 1, 0},
		{2, 3, 1, 0},
		{3, 4, 1, 1},           // 3 and 5: the larger twin lies outside
		{4, 5, 0, 0},           // 5 and 7 belong to the range of 5
		{65_535, 65_537, 0, 0}, // 65,537 is prime, but not below itself
		{65_537, 65_538, 1, 1},
		{99_999_999_999_970, 100_000_000_000_000, 2, 1}, // 10^14 - 29 and 10^14 - 27, the last there are
	} {
		r := e.mustRun(t, count, fstest.MapFS{}, fmt.Sprint(c.from), fmt.Sprint(c.to))
		if want := fmt.Sprintf("%d,%d,%d,%d\n", c.from, c.to, c.primes, c.twins); r.stdout != want {
			t.Errorf("got %q, want %q", r.stdout, want)
		}
	}
}

// TestCountAgainstTrialDivision walks short ranges around the segments' ends.
func TestCountAgainstTrialDivision(t *testing.T) {
	prime := func(n int) bool {
		for d := 2; d*d <= n; d++ {
			if n%d == 0 {
				return false
			}
		}
		return n > 1
	}
	e := newEngine(t, wazero.NewRuntimeConfig())
	for _, c := range [][2]int{{0, 70_000}, {1, 65_540}, {65_530, 65_545}, {101, 65_640}, {102, 131_178}, {999_000, 1_001_000}} {
		primes, twins := 0, 0
		for n := c[0]; n < c[1]; n++ {
			if prime(n) {
				primes++
				if prime(n + 2) {
					twins++
				}
			}
		}
		r := e.mustRun(t, count, fstest.MapFS{}, fmt.Sprint(c[0]), fmt.Sprint(c[1]))
		if want := fmt.Sprintf("%d,%d,%d,%d\n", c[0], c[1], primes, twins); r.stdout != want {
			t.Errorf("got %q, want %q", r.stdout, want)
		}
	}
}

// TestSum adds ten tasks up over two levels.
func TestSum(t *testing.T) {
	e := newEngine(t, wazero.NewRuntimeConfig())
	var tasks []result
	for i := range 10 {
		tasks = append(tasks, e.mustRun(t, count, fstest.MapFS{}, fmt.Sprint(i*100_000), fmt.Sprint((i+1)*100_000)))
	}
	left := e.mustRun(t, sum, level(0, tasks[:4]...))
	middle := e.mustRun(t, sum, level(4, tasks[4:8]...))
	right := e.mustRun(t, sum, level(8, tasks[8:]...))
	all := e.mustRun(t, sum, level(0, left, middle, right))
	if want := "0,1000000,78498,8169\n"; all.stdout != want {
		t.Errorf("got %q, want %q", all.stdout, want)
	}

	gap := e.mustRun(t, sum, level(0, left, right))
	if got, want := strings.Count(gap.stdout, "\n"), 2; got != want {
		t.Errorf("without the middle: %d lines, want %d:\n%s", got, want, gap.stdout)
	}
	// A run that was found late closes the gap that an earlier sum had.
	if got := e.mustRun(t, sum, level(0, gap, middle)); got.stdout != all.stdout {
		t.Errorf("with the middle again: got %q, want %q", got.stdout, all.stdout)
	}
}

func TestPrimesComplain(t *testing.T) {
	none := fstest.MapFS{}
	said := func(stdouts ...string) fstest.MapFS {
		in := fstest.MapFS{}
		for i, s := range stdouts {
			in[fmt.Sprintf("%010d/stdout", i)] = &fstest.MapFile{Data: []byte(s)}
		}
		return in
	}
	e := newEngine(t, wazero.NewRuntimeConfig())
	for _, c := range []complaint{
		{"no arguments", count, none, nil, 2, "usage: count FROM TO"},
		{"three arguments", count, none, []string{"1", "2", "3"}, 2, "usage: count FROM TO"},
		{"negative", count, none, []string{"-1", "2"}, 2, `FROM is "-1"`},
		{"empty number", count, none, []string{"", "2"}, 2, `FROM is ""`},
		{"not a number", count, none, []string{"1", "2x"}, 2, `TO is "2x"`},
		{"too large", count, none, []string{"1", "100000000000001"}, 2, "want a whole number up to 100000000000000"},
		{"beyond 64 bits", count, none, []string{"1", "18446744073709551617"}, 2, "want a whole number"},
		{"empty range", count, none, []string{"7", "7"}, 2, "the range 7 to 7 is empty"},
		{"backwards", count, none, []string{"8", "7"}, 2, "the range 8 to 7 is empty"},
		{"sum with arguments", sum, said("0,10,4,2\n"), []string{"x"}, 2, "usage: sum"},
		{"no inputs", sum, none, nil, 3, "no inputs"},
		{"other files only", sum, fstest.MapFS{"0000000000x/stdout": {Data: []byte("0,10,4,2\n")}}, nil, 3, "no inputs"},
		{"no output", sum, fstest.MapFS{"0000000007/stderr": {}}, nil, 3, "/in/0000000007/stdout: cannot be opened"},
		{"output is a folder", sum, fstest.MapFS{"0000000007/stdout/x": {}}, nil, 3, "/in/0000000007/stdout: cannot be read"},
		{"empty output", sum, said("0,10,4,2\n", ""), nil, 3, "/in/0000000001/stdout: is empty"},
		{"zero byte", sum, said("0,10,4,2\n\x00"), nil, 3, "zero byte"},
		{"too few fields", sum, said("0,10,4\n"), nil, 3, "line 1"},
		{"too many fields", sum, said("0,10,4,2\n10,20,4,1,5\n"), nil, 3, "line 2"},
		{"blank line", sum, said("0,10,4,2\n\n"), nil, 3, "line 2"},
		{"empty range of a sum", sum, said("10,10,0,0\n"), nil, 3, "line 1"},
		{"more primes than numbers", sum, said("0,10,11,2\n"), nil, 3, "line 1"},
		{"more twins than primes", sum, said("0,10,4,5\n"), nil, 3, "line 1"},
		{"overlap", sum, said("0,10,4,2\n", "9,20,4,1\n"), nil, 3, "the ranges 0-10 and 9-20 overlap"},
		{"twice", sum, said("0,10,4,2\n", "0,10,4,2\n"), nil, 3, "overlap"},
	} {
		t.Run(c.name, func(t *testing.T) { c.check(t, e) })
	}
}
