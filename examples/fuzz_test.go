package examples_test

import (
	"testing"
	"testing/fstest"

	"github.com/tetratelabs/wazero"
)

// fuzzProgram feeds a program one file of any bytes: it must end by itself,
// with success or with a complaint about its input, and never be stopped.
func fuzzProgram(f *testing.F, program, path string, args ...string) {
	e := newEngine(f, wazero.NewRuntimeConfig())
	f.Fuzz(func(t *testing.T, content []byte) {
		r := e.run(t, program, fstest.MapFS{path: {Data: content}}, args...)
		if complained := r.stderr != ""; r.exit != 0 && r.exit != 3 || complained != (r.exit == 3) {
			t.Errorf("got exit %d and %q, want exit 0 and silence or exit 3 and a reason", r.exit, r.stderr)
		}
	})
}

func FuzzSum(f *testing.F) {
	f.Add([]byte("0,10,4,2\n10,20,4,2\r\n"))
	f.Add([]byte("0,18446744073709551615,18446744073709551615,1\n18446744073709551615,0,0,0"))
	fuzzProgram(f, sum, "0000000003/stdout")
}

func FuzzRank(f *testing.F) {
	f.Add([]byte(heading + best))
	f.Add([]byte("16,.5,5.,1,0,0,000000000000000000000000000000001,"))
	fuzzProgram(f, rank, "0000000003/stdout")
}

func FuzzTally(f *testing.F) {
	f.Add([]byte(image(3, 0, 16) + "\r\n" + image(9, 7)))
	f.Add([]byte("0,16,3\r\n"))
	fuzzProgram(f, tally, "digits.csv")
}

func FuzzMeans(f *testing.F) {
	var sums [10]imageSums
	f.Add([]byte(form(sums)))
	sums[0] = imageSums{count: 1_000_000_000_000, pixels: [64]int64{16_000_000_000_000, 1}}
	f.Add([]byte(form(sums)))
	fuzzProgram(f, means, "0000000003/stdout")
}

func FuzzTrain(f *testing.F) {
	f.Add([]byte("0,16,3\r\n"))
	fuzzProgram(f, train, "digits.csv", "16", "0.1", "0", "1", "1")
}
