package state_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// The cluster's version goes up one by one, and only when every member follows.
// Apply is given commands here that this program would not read from a log.
func TestR4VersionWaitsForEveryMember(t *testing.T) {
	w := newWorld(t)
	member := func(node task.NodeID, knows uint16, removed bool) {
		w.apply(&state.SetMember{Member: state.Member{Node: node, URL: "http://" + string(node), Version: knows, Removed: removed}})
	}
	raise := func(v uint16) *protocol.Error {
		return w.s.Apply(w.now, []state.Command{&state.RaiseVersion{Version: v}})[0].Answer.Error
	}
	member("n1", 3, false)
	member("n2", 0, false) // of a program that says nothing of a version
	for _, v := range []uint16{0, 1, 3} {
		if raise(v) == nil {
			t.Errorf("raised from version 1 to %d", v)
		}
	}
	if raise(2) == nil || w.s.Version() != 1 {
		t.Errorf("raised to version %d, which n2 does not know", w.s.Version())
	}
	member("n2", 0, true)
	if err := raise(2); err != nil || w.s.Version() != 2 {
		t.Errorf("version %d, %v; want 2 once n2 is gone", w.s.Version(), err)
	}
}

// A program stops at what only a newer one knows, and says so: in the log, and in
// a snapshot.
func TestR4NewerVersionIsNamed(t *testing.T) {
	ahead := state.Newest + 1
	entry := state.EncodeEntry(state.Entry{Now: 1, Commands: [][]byte{state.EncodeCommand(&state.RaiseVersion{Version: ahead})}})
	if _, _, err := state.DecodeEntry(entry); !errors.Is(err, state.ErrNewer) {
		t.Errorf("the log: got %v, want ErrNewer", err)
	}
	w := newWorld(t)
	w.apply(&state.SetMember{Member: state.Member{Node: "n1", Version: ahead}})
	for v := uint16(2); v <= ahead; v++ {
		w.s.Apply(w.now, []state.Command{&state.RaiseVersion{Version: v}})
	}
	var b bytes.Buffer
	f := w.s.Freeze()
	defer f.Release()
	if _, err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Restore(&b); !errors.Is(err, state.ErrNewer) {
		t.Errorf("a snapshot: got %v, want ErrNewer", err)
	}
}
