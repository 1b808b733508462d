package state_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// Attempts that were given out after the backup are unknown to the cluster that
// goes on from it: whoever reports one is told that it is gone, also where
// another attempt has its slot by now. What the backup knows goes on.
func TestRenewedStateKnowsItsOwnAttempts(t *testing.T) {
	w := newWorld(t)
	host, other := w.host(10), w.host(20)
	w.submit(spec(8, 2))
	stage := task.StageID(1)
	known := w.give(host, stage, 0, 1)

	later := &world{t: t, s: w.copied(), now: w.now, numbers: map[task.Key]uint64{}}
	for k, n := range w.numbers {
		later.numbers[k] = n
	}
	lost := w.give(host, stage, 2, 3) // after the backup: the new cluster never hears of it
	if err := later.s.Renew(state.Renewal{Secret: make([]byte, 32), Now: w.now + 5}); err != nil {
		t.Fatal(err)
	}
	if err := later.s.Check(); err != nil {
		t.Fatal(err)
	}
	given := append(later.give(host, stage, 5), later.give(other, stage, 4)...)
	for _, id := range given {
		for _, old := range lost {
			if id == old {
				t.Errorf("attempt %d was given out in both histories", id)
			}
		}
	}
	var reports []state.Report
	for _, id := range append(known, lost...) {
		reports = append(reports, result(id, 1))
	}
	want := []protocol.Ack{protocol.AckAccepted, protocol.AckAccepted, protocol.AckGone, protocol.AckGone}
	if got := later.report(host, reports...); !slices.Equal(got, want) {
		t.Errorf("the reports were answered with %v, want %v", got, want)
	}
}

func TestRenewChangesTheClusterAndNothingElse(t *testing.T) {
	w := newWorld(t)
	w.apply(&state.SetMember{Member: state.Member{Node: "n1", URL: "http://n1", Raft: "n1:1"}})
	s := w.copied()
	secret := bytes.Repeat([]byte{9}, 32)
	if err := s.Renew(state.Renewal{Cluster: task.ClusterID{7}, Secret: secret, Now: 1}); err != nil {
		t.Fatal(err)
	}
	c := s.Cluster()
	if c.ID != (task.ClusterID{7}) || !bytes.Equal(c.Secret, secret) || c.Now != w.s.Cluster().Now || c.Operator != operator {
		t.Errorf("the cluster is %+v", c)
	}
	s.Members(func(m *state.Member) { t.Errorf("member %s is still one", m.Node) })
	if _, known := s.Member("n1"); !known {
		t.Error("the old member's name could be taken again")
	}
	if err := s.Renew(state.Renewal{Secret: secret[:5]}); err == nil {
		t.Error("a short secret was taken")
	}
	if err := state.New().Renew(state.Renewal{Secret: secret}); err == nil {
		t.Error("a state without a cluster was renewed")
	}
}
