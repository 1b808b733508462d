package state_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/task"
)

// A released version's logs and snapshots are kept in testdata/golden, one folder
// for each version of the cluster, and every later program must read them to the
// same state. go test ./coordinator/state -run Golden -golden writes those of this
// program; that is done once for a version, when it is released, and never for
// one that was.
var writeGolden = flag.Bool("golden", false, "write the log and the snapshot of this version into testdata/golden")

const goldenDir = "testdata/golden"

// goldenWorld is a cluster's life with every command in it.
func goldenWorld(t *testing.T) *chaos {
	c := newChaos(t, 42)
	c.apply(&state.SetMember{Member: state.Member{Node: "n1", URL: "http://n1.test:7710", Raft: "n1.test:8710", Version: state.Newest}})
	c.must(&state.SetPublishers{Request: c.request(operator), Listed: []task.Key{publisher}})
	for range 300 {
		c.step()
	}
	j := c.submit(spec(3, 1))
	job, _ := c.s.Job(j)
	c.must(&state.CancelJob{Request: c.request(publisher), Job: job.ID})
	for stage, chunk, ok := c.s.NextSealable(0, 0); ok; stage, chunk, ok = c.s.NextSealable(0, 0) {
		c.apply(c.sealing(stage, chunk))
	}
	c.apply(&state.ForgetSessions{Before: c.now})
	for range 20 {
		c.step()
	}
	return c
}

// encodeLog is a log as its golden file has it: each entry behind its length.
func encodeLog(entries [][]byte) (b []byte) {
	for _, e := range entries {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(e))), e...)
	}
	return b
}

func decodeLog(t *testing.T, b []byte) (entries [][]byte) {
	t.Helper()
	for len(b) > 0 {
		n := 4 + int(binary.BigEndian.Uint32(b))
		if len(b) < n {
			t.Fatal("the golden log is cut short")
		}
		entries, b = append(entries, b[4:n]), b[n:]
	}
	return entries
}

func snapshotOf(t *testing.T, s *state.State) []byte {
	t.Helper()
	var b bytes.Buffer
	f := s.Freeze()
	defer f.Release()
	if _, err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// applyAll applies entries and returns which kinds of commands were among them.
func applyAll(t *testing.T, s *state.State, entries [][]byte) (kinds []string) {
	t.Helper()
	for i, e := range entries {
		now, commands, err := state.DecodeEntry(e)
		if err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		for _, c := range commands {
			kinds = append(kinds, reflect.TypeOf(c).Elem().Name())
		}
		s.Apply(now, commands)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

func TestGoldenLogsAndSnapshotsAreRead(t *testing.T) {
	if *writeGolden {
		updateGolden(t)
	}
	versions, err := filepath.Glob(filepath.Join(goldenDir, "*"))
	if err != nil || len(versions) == 0 {
		t.Fatalf("golden files: %v, %v", versions, err)
	}
	for _, dir := range versions {
		t.Run(filepath.Base(dir), func(t *testing.T) { readGolden(t, dir) })
	}
}

// readGolden reads a version's log, and its log from the middle on over its
// snapshot. Both lead to the state whose digest was written down.
func readGolden(t *testing.T, dir string) {
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	want := strings.Fields(string(read("digests")))
	entries := decodeLog(t, read("log"))
	half := len(entries) / 2

	s := state.New()
	applyAll(t, s, entries[:half])
	if got := s.Digest().String(); got != want[0] {
		t.Errorf("after entry %d the state is %s, want %s", half, got, want[0])
	}
	applyAll(t, s, entries[half:])
	if got := s.Digest().String(); got != want[1] {
		t.Errorf("after entry %d the state is %s, want %s", len(entries), got, want[1])
	}
	r, err := state.Restore(bytes.NewReader(read("snapshot")))
	if err != nil {
		t.Fatal(err)
	}
	applyAll(t, r, entries[half:])
	if got := r.Digest().String(); got != want[1] {
		t.Errorf("over the snapshot the state is %s, want %s", got, want[1])
	}
	for _, s := range []*state.State{s, r} {
		if err := s.Check(); err != nil {
			t.Error(err)
		}
	}
}

func updateGolden(t *testing.T) {
	w := goldenWorld(t)
	half := state.New()
	applyAll(t, half, w.log[:len(w.log)/2])
	whole := state.New()
	kinds := applyAll(t, whole, w.log)
	all := []string{
		"CancelJob", "CreateProject", "Enrol", "Exchange", "Expire", "ForgetSessions", "InitCluster", "Judge", "OpenStage", "Overflow", "Publish",
		"Release", "Seal", "SetMember", "SetPublishers", "SubmitJob",
	}
	if !slices.Equal(kinds, all) {
		t.Fatalf("the log has the commands %v, want %v", kinds, all)
	}
	dir := filepath.Join(goldenDir, fmt.Sprint(state.Newest))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"log": encodeLog(w.log), "snapshot": snapshotOf(t, half), "digests": fmt.Appendf(nil, "%s\n%s\n", half.Digest(), whole.Digest()),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
