package journal_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/client/journal"
	"github.com/sheafgrid/sheaf/task"
)

// childFolder names the folder that a child of the kill test writes in.
const childFolder = "SHEAF_JOURNAL_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		fmt.Println("failed:", work(filepath.Join(dir, "journal.db")))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// work goes round and round: a request, its answer with an attempt, the
// attempt's result. After each step it says on standard output how far it is.
func work(path string) error {
	j, err := journal.Open(path)
	if err != nil {
		return err
	}
	s, err := j.State()
	if err != nil {
		return err
	}
	if s.Session == nil {
		if err := j.OpenSession(7, 1); err != nil {
			return err
		}
	}
	number := uint64(0)
	if s.Session != nil {
		number = s.Session.Last
	}
	pending := s.Request
	var reports []task.AttemptID
	for {
		if pending == nil {
			number++
			r := requestOf(number, reports)
			if err := j.Sent(r); err != nil {
				return err
			}
			pending = &r
		}
		fmt.Println("sent", number)
		id := task.AttemptID(number)
		if err := j.Answered(number, journal.Answer{Acknowledged: pending.Reports, Accepted: []journal.Held{held(id)}}); err != nil {
			return err
		}
		pending = nil
		fmt.Println("answered", number)
		if err := j.Finish(result(id, strings.Repeat("x", int(number)*37%5000))); err != nil {
			return err
		}
		fmt.Println("finished", number)
		reports = []task.AttemptID{id}
	}
}

func requestOf(number uint64, reports []task.AttemptID) journal.Request {
	r := request(number, reports...)
	r.Frame = bytes.Repeat(fmt.Appendf(nil, "request %d ", number), 200)
	return r
}

// kill -9 at any moment: what was said to be done is in the journal, and the
// request on its way has the bytes that it was sent with (R2).
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a run without -short: it starts and kills processes")
	}
	dir := t.TempDir()
	for round := range 12 {
		step, number := runAndKill(t, dir, 3+7*round)
		checkAfterKill(t, filepath.Join(dir, "journal.db"), step, number)
		if err := os.Remove(filepath.Join(dir, "journal.db")); err != nil {
			t.Fatal(err)
		}
	}
}

// runAndKill lets a child make steps, kills it, and returns the last step of
// which it spoke.
func runAndKill(t *testing.T, dir string, steps int) (step string, number uint64) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childFolder+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if _, err := fmt.Sscan(lines.Text(), &step, &number); err != nil {
			t.Fatalf("the child says %q", lines.Text())
		}
		if n == steps {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait() // killed
	return step, number
}

func checkAfterKill(t *testing.T, path, step string, number uint64) {
	t.Helper()
	j, err := journal.Open(path)
	if err != nil {
		t.Fatalf("after %s %d: %v", step, number, err)
	}
	defer j.Close()
	s, err := j.State()
	if err != nil {
		t.Fatal(err)
	}
	// The child may have come one step further than it could say.
	last := s.Session.Last
	if last != number && (step != "finished" || last != number+1) {
		t.Fatalf("after %s %d the last request is %d", step, number, last)
	}
	if r := s.Request; r != nil {
		if want := requestOf(last, r.Reports); r.Number != last || !bytes.Equal(r.Frame, want.Frame) {
			t.Errorf("after %s %d: request %d has other bytes than it was sent with", step, number, r.Number)
		}
	} else if step == "sent" && len(s.Held) == 0 {
		t.Errorf("after %s %d neither the request nor its answer is there", step, number)
	}
	finished := uint64(0)
	for _, h := range s.Held {
		if h.Result != nil {
			finished = uint64(h.Attempt.ID)
		}
	}
	if step == "finished" && finished != number && last == number {
		t.Errorf("after %s %d the last result is of %d", step, number, finished)
	}
	if len(s.Held) > 2 {
		t.Errorf("%d attempts are held", len(s.Held))
	}
}
