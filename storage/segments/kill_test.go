package segments_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/storage/segments"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

const victimEnv = "SHEAF_TEST_SEGMENTS_VICTIM" // "<directory>|<first batch>"

// numbered is the n-th batch that victims put.
func numbered(n int) [][]byte {
	var blobs [][]byte
	for i := range 50 {
		blobs = append(blobs, storagetest.Text(60+i*7, uint64(n*100+i)))
	}
	return append(blobs, storagetest.Random(20_000, uint64(n)))
}

// TestVictim is the process that TestKilledWhilePutting kills. Four goroutines
// put batches, each its own, and say the number of each that is acknowledged.
func TestVictim(t *testing.T) {
	path, number, ok := strings.Cut(os.Getenv(victimEnv), "|")
	if !ok {
		t.Skip("runs only as a child")
	}
	first, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	s, err := segments.Open(t.Context(), segments.Config{Path: path, SegmentBytes: 100 << 10})
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	for k := range 4 {
		go func() {
			for n := first + k; ; n += 4 {
				if err := s.Put(context.Background(), batch(numbered(n)...)); err != nil {
					failed <- err
				}
				fmt.Printf("%d\n", n)
			}
		}()
	}
	t.Fatal(<-failed)
}

// R1: kill -9 at any moment costs nothing that was acknowledged.
func TestKilledWhilePutting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outputs")
	rnd := rand.New(rand.NewPCG(7, 8))
	var acknowledged []int
	cut := 0
	const rounds = 10
	for round := range rounds {
		acknowledged = append(acknowledged, runVictim(t, path, round*10_000, 1+rnd.IntN(20))...)
		s := open(t, segments.Config{Path: path, SegmentBytes: 100 << 10})
		for _, n := range acknowledged {
			for _, want := range numbered(n) {
				if got, err := s.Get(t.Context(), task.Sum(want), segments.MaxBlobSize); err != nil || !bytes.Equal(got, want) {
					t.Errorf("round %d: an acknowledged blob of batch %d: %v", round, n, err)
				}
			}
		}
		d := s.Damage()
		if d.CutBytes > 0 {
			cut++
		}
		if d.CutBytes = 0; d != (segments.Damage{}) {
			t.Errorf("round %d: damage %+v", round, d)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d batches; %d of %d kills came in the middle of a record", len(acknowledged), cut, rounds)
}

// runVictim starts a process that puts batches from a number on, kills it when
// it has said so many lines, and returns the numbers that it said.
func runVictim(t *testing.T, path string, first, say int) []int {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVictim$")
	child.Env = append(os.Environ(), victimEnv+"="+path+"|"+strconv.Itoa(first))
	var stderr bytes.Buffer
	child.Stderr = &stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var said []int
	for lines := bufio.NewScanner(out); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("the child failed: %s %s", lines.Text(), stderr.String())
		}
		if said = append(said, n); len(said) == say {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || len(said) < say {
		t.Fatalf("the child ended by itself: %v %s", err, stderr.String())
	}
	return said
}
