package loadgen

import (
	"slices"
	"testing"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// records is a cluster's view of four tasks, each computed by hosts 0 and 1,
// with the receipts that go with it.
func records() (*Load, []protocol.AttemptView) {
	l := &Load{cfg: Config{Replicate: 2}, hosts: []*host{{public: task.Key{1}}, {public: task.Key{2}}}}
	var views []protocol.AttemptView
	for index := range uint64(4) {
		for k, h := range l.hosts {
			id := task.AttemptID(100 - 2*index + uint64(k)) // in no order that helps
			h.receipts = append(h.receipts, receipt{id: id, index: uint32(index)})
			views = append(views, protocol.AttemptView{
				Index: index, Attempt: id, Host: h.public, State: "valid", Output: answerList(expected(index)).Digest(), Work: answerWork, Credit: 5,
			})
		}
	}
	return l, views
}

func expected(index uint64) task.Digest { return task.Sum([]byte{byte(index)}) }

// audit serves the views in pages of two tasks.
func audit(t *testing.T, l *Load, views []protocol.AttemptView) *Audit {
	t.Helper()
	a, err := l.Audit(func(i uint64) (task.Digest, error) { return expected(i), nil }, func(from uint64) (protocol.AttemptPage, error) {
		p := protocol.AttemptPage{Next: from + 2, Done: from >= 4}
		for _, v := range views {
			if v.Index >= from && v.Index < from+2 {
				p.Attempts = append(p.Attempts, v)
			}
		}
		return p, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAuditFindsWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Load, []protocol.AttemptView) []protocol.AttemptView
		want   Audit // its counts
	}{
		"nothing": {func(_ *Load, v []protocol.AttemptView) []protocol.AttemptView { return v }, Audit{Tasks: 4, Valid: 4}},
		"a report that is gone": {func(_ *Load, v []protocol.AttemptView) []protocol.AttemptView {
			return slices.Delete(v, 3, 4)
		}, Audit{Tasks: 4, Valid: 3, Lost: 1}},
		"the last report is gone": {func(_ *Load, v []protocol.AttemptView) []protocol.AttemptView {
			return v[:7]
		}, Audit{Tasks: 4, Valid: 3, Lost: 1}},
		"a report that counts as not returned": {func(_ *Load, v []protocol.AttemptView) []protocol.AttemptView {
			v[2].State, v[2].Credit = "dropped", 0
			return v
		}, Audit{Tasks: 4, Valid: 3, Lost: 1}},
		"a whole task is gone": {func(_ *Load, v []protocol.AttemptView) []protocol.AttemptView {
			return slices.Delete(v, 2, 4)
		}, Audit{Tasks: 3, Valid: 3, Lost: 2}},
		"a result that nobody was told of": {func(l *Load, v []protocol.AttemptView) []protocol.AttemptView {
			l.hosts[1].receipts = l.hosts[1].receipts[1:]
			return v
		}, Audit{Tasks: 4, Valid: 4, Unknown: 1}},
		"a result under another's name": {func(_ *Load, v []protocol.AttemptView) []protocol.AttemptView {
			v[0].Host = v[1].Host
			return v
		}, Audit{Tasks: 4, Valid: 4, Lost: 1, Unknown: 1, Twice: 1}},
		"another output": {func(_ *Load, v []protocol.AttemptView) []protocol.AttemptView {
			v[5].Output = task.Digest{}
			return v
		}, Audit{Tasks: 4, Valid: 3, Wrong: 1}},
		"an honest result found wrong": {func(_ *Load, v []protocol.AttemptView) []protocol.AttemptView {
			v[5].State, v[5].Credit = "wrong", 0
			return v
		}, Audit{Tasks: 4, Valid: 3, Wrong: 1}},
		"credited twice": {func(l *Load, v []protocol.AttemptView) []protocol.AttemptView {
			again := v[4]
			again.Attempt = 200
			l.hosts[0].receipts = append(l.hosts[0].receipts, receipt{id: 200, index: uint32(again.Index)})
			return append(v, again)
		}, Audit{Tasks: 4, Valid: 4, Twice: 1, Extra: 1}},
		"an attempt that brought nothing": {func(_ *Load, v []protocol.AttemptView) []protocol.AttemptView {
			return append(v, protocol.AttemptView{Index: 1, Attempt: 300, Host: task.Key{3}, State: "dropped"})
		}, Audit{Tasks: 4, Valid: 4, Extra: 1}},
	} {
		l, views := records()
		views = c.change(l, views)
		got := audit(t, l, views)
		sound := c.want.Valid == c.want.Tasks && c.want.Lost+c.want.Twice+c.want.Unknown+c.want.Wrong == 0
		if got.Tasks != c.want.Tasks || got.Valid != c.want.Valid || got.Lost != c.want.Lost || got.Twice != c.want.Twice ||
			got.Unknown != c.want.Unknown || got.Wrong != c.want.Wrong || got.Extra != c.want.Extra {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
		if got.OK() != sound || sound != (len(got.Problems) == 0) {
			t.Errorf("%s: OK is %t with %d problems, want %t", name, got.OK(), len(got.Problems), sound)
		}
	}
}

func TestAuditComparesTotals(t *testing.T) {
	for name, c := range map[string]struct {
		host  protocol.HostView
		sound bool
	}{
		"the same":    {protocol.HostView{Host: task.Key{1}, Valid: 4, Credit: 20}, true},
		"more credit": {protocol.HostView{Host: task.Key{1}, Valid: 4, Credit: 25}, false},
		"less credit": {protocol.HostView{Host: task.Key{1}, Valid: 4, Credit: 15}, false},
		"a strike":    {protocol.HostView{Host: task.Key{1}, Valid: 4, Credit: 20, Wrong: 1}, false},
		"a stranger":  {protocol.HostView{Host: task.Key{9}, Valid: 1, Credit: 5}, false},
	} {
		l, views := records()
		a := audit(t, l, views)
		a.Compare([]protocol.HostView{c.host})
		if a.OK() != c.sound {
			t.Errorf("%s: OK is %t, want %t (%q)", name, a.OK(), c.sound, a.Problems)
		}
	}
}

func TestAuditRefusesPagesThatGoNowhere(t *testing.T) {
	l, _ := records()
	_, err := l.Audit(func(uint64) (task.Digest, error) { return task.Digest{}, nil }, func(from uint64) (protocol.AttemptPage, error) {
		return protocol.AttemptPage{Next: from}, nil
	})
	if err == nil {
		t.Error("got no error for a page that is followed by itself")
	}
}
