package dir_test

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/dir"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

const victimEnv = "SHEAF_TEST_VICTIM" // "<directory>|<first number>"

// numbered is the blob that the victim puts as its n-th.
func numbered(n int) []byte {
	switch n % 4 {
	case 0:
		return storagetest.Random(storage.ChunkSize+n, uint64(n))
	case 1:
		return storagetest.Text(300_000+n, uint64(n))
	}
	return storagetest.Text(100+n, uint64(n))
}

// victimBlobs is how many blobs one victim puts at most: a multiple of four.
const victimBlobs = 24

// TestVictim is the process that TestKilledWhilePutting kills. It says "+" when
// it begins to put and the number of each blob once it is acknowledged.
func TestVictim(t *testing.T) {
	path, number, ok := strings.Cut(os.Getenv(victimEnv), "|")
	if !ok {
		t.Skip("runs only as a child")
	}
	first, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	var blobs []storage.Small // made before, so that it does little else than put
	for n := first; n < first+victimBlobs; n++ {
		blobs = append(blobs, storage.Small{Digest: task.Sum(numbered(n)), Bytes: numbered(n)})
	}
	s, err := dir.Open(t.Context(), dir.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < victimBlobs; i += 4 {
		for k := i; k < i+2; k++ {
			fmt.Println("+")
			put(t, s, blobs[k].Bytes)
			fmt.Println(first + k)
		}
		fmt.Println("+")
		if err := s.PutBatch(t.Context(), blobs[i+2:i+4]); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("%d\n%d\n", first+i+2, first+i+3)
	}
	select {} // the kill is late
}

// R1: kill -9 at any moment costs nothing that was acknowledged.
func TestKilledWhilePutting(t *testing.T) {
	path := t.TempDir()
	rnd := rand.New(rand.NewPCG(7, 8))
	acknowledged, midway := 0, 0
	const rounds = 15
	for round := range rounds {
		before := acknowledged
		last := ""
		acknowledged, last = runVictim(t, path, before, 1+rnd.IntN(20))
		if last == "+" {
			midway++
		}
		s, err := dir.Open(t.Context(), dir.Config{Path: path})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for n := before; n < acknowledged; n++ {
			if err := s.Verify(t.Context(), task.Sum(numbered(n))); err != nil {
				t.Errorf("round %d: acknowledged blob %d: %v", round, n, err)
			}
		}
		listed := 0
		err = s.List(t.Context(), func(d task.Digest, size int64) error {
			listed++
			if size == storage.UnknownSize {
				return s.Verify(t.Context(), d)
			}
			return nil
		})
		if err != nil || listed < acknowledged || listed > acknowledged+4 {
			t.Errorf("round %d: %d are listed, %d acknowledged (%v)", round, listed, acknowledged, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d blobs; %d of %d kills came in the middle of a put", acknowledged, midway, rounds)
	scrubAll(t, path, acknowledged)
}

// scrubAll expects all the blobs that were acknowledged, and all others, to be
// whole.
func scrubAll(t *testing.T, path string, acknowledged int) {
	t.Helper()
	want := map[task.Digest]bool{}
	for n := range acknowledged {
		want[task.Sum(numbered(n))] = true
	}
	s := open(t, dir.Config{Path: path})
	err := s.Scrub(t.Context(), task.Digest{}, noPace, func(d task.Digest, err error) error {
		delete(want, d)
		return err
	})
	if err != nil || len(want) > 0 {
		t.Errorf("scrub: %v, and %d acknowledged blobs are gone", err, len(want))
	}
}

// runVictim starts a process that puts blobs from number n on, kills it when it
// has said so many lines, and returns the number after the last blob that it
// acknowledged, and its last line.
func runVictim(t *testing.T, path string, n, say int) (next int, last string) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVictim$")
	child.Env = append(os.Environ(), victimEnv+"="+path+"|"+strconv.Itoa(n/4*4))
	var stderr bytes.Buffer
	child.Stderr = &stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines, said := bufio.NewScanner(out), 0
	for lines.Scan() {
		last = lines.Text()
		if last != "+" {
			k, err := strconv.Atoi(last)
			if err != nil {
				t.Fatalf("the child failed: %s %s", last, stderr.String())
			}
			n = max(n, k+1)
		}
		said++
		if said == say {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || said < say {
		t.Fatalf("the child ended by itself: %v %s", err, stderr.String())
	}
	return n, last
}
