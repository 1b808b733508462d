package client

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/client/journal"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// spoolOf fills a spool as the sandbox does, and makes the list.
func spoolOf(t *testing.T, o *outputs, contents ...string) (*spool, task.OutputList) {
	t.Helper()
	s := &spool{outputs: o}
	var list task.OutputList
	for i, text := range contents {
		name := string(rune('a' + i))
		w, err := s.next(name, int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		for _, half := range []string{text[:len(text)/2], text[len(text)/2:]} {
			if _, err := w.Write([]byte(half)); err != nil {
				t.Fatal(err)
			}
		}
		list = append(list, task.OutputFile{Name: name, Size: int64(len(text)), Digest: task.Sum([]byte(text))})
	}
	return s, list
}

func newOutputs(t *testing.T) *outputs {
	t.Helper()
	o, err := openOutputs(filepath.Join(t.TempDir(), "outputs"))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *outputs) files(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir(o.dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func TestSmallOutputsStayInMemory(t *testing.T) {
	o := newOutputs(t)
	s, list := spoolOf(t, o, strings.Repeat("x", protocol.MaxInline-1), "y", "")
	if err := s.settle(list); err != nil {
		t.Fatal(err)
	}
	in := s.inline()
	s.discard()
	if len(in) != 3 || len(in[0]) != protocol.MaxInline-1 || string(in[1]) != "y" || o.files(t) != 0 {
		t.Errorf("%d outputs inside, %d files", len(in), o.files(t))
	}
}

// Some are in memory when they turn out to be too many; then all go to files.
func TestLargeOutputsGoToFiles(t *testing.T) {
	o := newOutputs(t)
	large := strings.Repeat("large", protocol.MaxInline)
	s, list := spoolOf(t, o, "small", large, "")
	if err := s.settle(list); err != nil {
		t.Fatal(err)
	}
	s.discard()
	if s.inline() != nil || o.files(t) != 3 {
		t.Errorf("inside: %d, %d files; want none and 3", len(s.inline()), o.files(t))
	}
	for _, f := range list {
		if b, err := os.ReadFile(o.path(f.Digest)); err != nil || task.Sum(b) != f.Digest {
			t.Errorf("%q: %d bytes, %v", f.Name, len(b), err)
		}
	}
	// Another task leaves the same bytes: they stay until both are delivered.
	s, list = spoolOf(t, o, "small", large, "")
	if err := s.settle(list); err != nil {
		t.Fatal(err)
	}
	o.drop(list)
	if o.files(t) != 3 {
		t.Errorf("%d files are left for the second result, want 3", o.files(t))
	}
	o.drop(list)
	if o.files(t) != 0 {
		t.Errorf("%d files are left, want 0", o.files(t))
	}
}

func TestAbandonedOutputsAreRemoved(t *testing.T) {
	o := newOutputs(t)
	s, _ := spoolOf(t, o, strings.Repeat("large", protocol.MaxInline), "more")
	s.discard()
	if o.files(t) != 0 {
		t.Errorf("%d files are left, want 0", o.files(t))
	}
	// What a crash left goes at the next start; what a result names stays.
	s, list := spoolOf(t, o, strings.Repeat("large", protocol.MaxInline))
	if err := s.settle(list); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.dir, unfinished+"1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.path(task.Digest{1}), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := o.sweep(); err != nil || o.files(t) != 1 {
		t.Errorf("%d files are left, %v; want the one that is named", o.files(t), err)
	}
}

func TestOutputsThatDoNotFitTheirList(t *testing.T) {
	s, list := spoolOf(t, newOutputs(t), "a", "b")
	if err := s.settle(list[:1]); err == nil {
		t.Error("two outputs under a list of one")
	}
}

func TestFullDiskIsKnown(t *testing.T) {
	o := newOutputs(t)
	if err := os.Remove(o.dir); err != nil {
		t.Fatal(err)
	}
	s := &spool{outputs: o}
	if _, err := s.next("a", protocol.MaxInline+1); !errors.Is(err, errDisk) || s.failed == nil {
		t.Errorf("got %v, want errDisk", err)
	}
}

// A report that was written down and acknowledged again after a crash stands in
// the trail once; a cut line is mended; a damaged one is named.
func TestTrailAfterACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trail")
	reports := []*held{}
	for i := range 3 {
		id := task.AttemptID(i + 1)
		reports = append(reports, &held{
			attempt: protocol.Attempt{ID: id, Task: task.Task{Job: task.JobID{1}, Index: 5}},
			result:  &journal.Result{Report: protocol.Report{Attempt: id, Outputs: []byte("list")}},
		})
	}
	acks := []protocol.Ack{protocol.AckAccepted, protocol.AckDuplicate, protocol.AckGone}
	write := func(pending []task.AttemptID, n int) {
		t.Helper()
		tr, err := openTrail(path, pending)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(tr.add(reports[:n], acks[:n]), tr.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write(nil, 2)
	write([]task.AttemptID{1, 2, 3}, 3)
	b, err := os.ReadFile(path)
	if err != nil || strings.Count(string(b), "\n") != 3 || strings.Count(string(b), `"attempt":2,`) != 1 {
		t.Errorf("the trail is %s, %v", b, err)
	}
	if err := os.WriteFile(path, append([]byte("garbage\n"), b...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openTrail(path, nil); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a damaged trail: %v", err)
	}
	if _, err := openTrail(filepath.Join(path, "x"), nil); err == nil {
		t.Error("a trail in a file")
	}
}
