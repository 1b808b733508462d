package state_test

import (
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// A name belongs to one key for good, a token lets one node join, and a removed
// node stays removed, whatever coordinators propose.
func TestMembersAreKnownByTheirKeys(t *testing.T) {
	w := newWorld(t)
	k1, k2 := task.Sum([]byte("key 1")), task.Sum([]byte("key 2"))
	for _, step := range []struct {
		what   string
		member state.Member
		says   string
	}{
		{"the first", state.Member{Node: "n1", URL: "u1", Raft: "r1", Key: k1}, ""},
		{"one that joins", state.Member{Node: "n2", URL: "u2", Raft: "r2", Key: k2, Token: 7, Joining: true}, ""},
		{"the same again", state.Member{Node: "n2", URL: "u2", Raft: "r2", Key: k2, Token: 7, Joining: true}, ""},
		{"its token again", state.Member{Node: "n3", URL: "u3", Raft: "r3", Key: task.Sum([]byte("key 3")), Token: 7, Joining: true}, "used already, by node n2"},
		{"its name with another token", state.Member{Node: "n2", Key: k1, Token: 8, Joining: true}, "--replace n2"},
		{"its admission", state.Member{Node: "n2", URL: "u2", Raft: "r2", Key: k2, Token: 7}, ""},
		{"joining anew", state.Member{Node: "n2", URL: "u2", Raft: "r2", Key: k2, Token: 9, Joining: true}, "has joined already"},
		{"another address", state.Member{Node: "n2", URL: "u2", Raft: "r9", Key: k2, Token: 7}, ""},
		{"its removal", state.Member{Node: "n2", URL: "u2", Raft: "r9", Key: k2, Token: 7, Removed: true}, ""},
		{"its return", state.Member{Node: "n2", URL: "u2", Raft: "r9", Key: k2, Token: 7}, "was removed"},
		{"its name with another key", state.Member{Node: "n2", Key: k1, Token: 10, Joining: true}, "--replace n2"},
		{"its token after its removal", state.Member{Node: "n4", Key: k1, Token: 7, Joining: true}, "used already, by node n2"},
	} {
		before, _ := w.s.Member(step.member.Node)
		var kept state.Member
		if before != nil {
			kept = *before
		}
		e := w.apply(&state.SetMember{Member: step.member})[0].Answer.Error
		if step.says == "" && e != nil || step.says != "" && (e == nil || e.Code != protocol.CodeConflict || !strings.Contains(e.Text, step.says)) {
			t.Errorf("%s: got %v, want %q", step.what, e, step.says)
		}
		want := step.member
		if step.says != "" {
			want = kept
		}
		if got, ok := w.s.Member(step.member.Node); ok && *got != want {
			t.Errorf("%s: the member is %+v, want %+v", step.what, *got, want)
		}
	}
	var listed []task.NodeID
	w.s.Members(func(m *state.Member) { listed = append(listed, m.Node) })
	if len(listed) != 1 || listed[0] != "n1" {
		t.Errorf("the members are %v, want n1 alone", listed)
	}
}
