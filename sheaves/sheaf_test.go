package sheaves_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/sheafgrid/sheaf/sheaves"
	"github.com/sheafgrid/sheaf/task"
)

// example has a task of each kind.
func example() *sheaves.Sheaf {
	right := sheaves.Result{Exit: 0, Work: 5_000_000, Output: task.Digest{1}}
	wrong := sheaves.Result{Exit: 3, Work: 7, Output: task.Digest{2}}
	return &sheaves.Sheaf{
		Job: task.JobID{9}, Level: 1, First: 4096, Hosts: []task.Key{{1}, {2}, {3}},
		Tasks: []sheaves.Task{
			{Result: right, Attempts: []sheaves.Attempt{{ID: 1 << 40, Host: 1, End: sheaves.Valid, Result: right}, {ID: 5, Host: 0, End: sheaves.Valid, Result: right}}},
			{Result: right, Attempts: []sheaves.Attempt{
				{Host: 2, End: sheaves.Valid, Result: right},
				{Host: 1, End: sheaves.Wrong, Result: wrong},
				{Host: 0, End: sheaves.Expired},
				{Host: 0, End: sheaves.Returned},
				{Host: 0, End: sheaves.Dropped},
			}},
			{Fail: 1, Attempts: []sheaves.Attempt{{Host: 2, End: sheaves.Reported, Result: wrong}, {Host: 1, End: sheaves.Reported, Result: right}}},
			{Fail: 2, Attempts: []sheaves.Attempt{{Host: 2, End: sheaves.Returned}}},
		},
	}
}

func TestRoundTrip(t *testing.T) {
	want := example()
	got, err := sheaves.Decode(want.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	var tree task.Tree
	tree.Add(task.Leaf(4096, 0, task.Digest{1}))
	tree.Add(task.Leaf(4097, 0, task.Digest{1}))
	tree.Add(task.FailedLeaf(4098))
	tree.Add(task.FailedLeaf(4099))
	if got.Root() != tree.Root() {
		t.Error("its root is not that of its tasks")
	}
}

// split is a sheaf in two parts: the tasks that are not in the second, and those
// that are.
func split(whole *sheaves.Sheaf, second func(k int) bool) (a, b *sheaves.Sheaf) {
	first, late := *whole, *whole
	first.Tasks, late.Tasks = slices.Clone(whole.Tasks), slices.Clone(whole.Tasks)
	for k := range whole.Tasks {
		if second(k) {
			first.Tasks[k] = sheaves.Task{Missing: true}
		} else {
			late.Tasks[k] = sheaves.Task{Missing: true}
		}
	}
	return &first, &late
}

// Two parts of a chunk are read as what they are, and make up the whole.
func TestPartsMakeTheWhole(t *testing.T) {
	want := example()
	first, late := split(want, func(k int) bool { return k == 1 })
	for _, part := range []*sheaves.Sheaf{first, late} {
		got, err := sheaves.Decode(part.Encode())
		if err != nil || !reflect.DeepEqual(got, part) {
			t.Errorf("got  %+v, %v\nwant %+v", got, err, part)
		}
	}
	if first.Task(4097) != nil || late.Task(4097) == nil || late.Task(4096) != nil || late.Task(4100) != nil || late.Task(1) != nil {
		t.Error("a task is found in the part that lacks it, or not in the other")
	}
	for _, parts := range [][2]*sheaves.Sheaf{{first, late}, {late, first}} {
		whole, err := sheaves.Merge(parts[0], parts[1])
		if err != nil {
			t.Fatal(err)
		}
		if whole.Root() != want.Root() {
			t.Error("the parts together have another root than the whole")
		}
		for k := range whole.Tasks {
			for i, a := range whole.Tasks[k].Attempts {
				if was := want.Tasks[k].Attempts[i]; whole.Hosts[a.Host] != want.Hosts[was.Host] || a.ID != was.ID || a.End != was.End {
					t.Errorf("attempt %d of task %d is %+v, want %+v", i, k, a, was)
				}
			}
		}
	}
	other := *late
	other.First = 0
	if _, err := sheaves.Merge(first, &other); !errors.Is(err, sheaves.ErrMalformed) {
		t.Errorf("parts of two chunks were merged: %v", err)
	}
}

// Every sheaf that differs in a byte is refused, or is another sheaf: nothing
// is read in two ways.
func TestEveryByteCounts(t *testing.T) {
	want := example()
	b := want.Encode()
	for i := range b {
		for bit := range 8 {
			changed := append([]byte(nil), b...)
			changed[i] ^= 1 << bit
			if s, err := sheaves.Decode(changed); err == nil && reflect.DeepEqual(s, want) {
				t.Fatalf("byte %d, bit %d: it does not matter", i, bit)
			}
		}
		if _, err := sheaves.Decode(b[:i]); !errors.Is(err, sheaves.ErrMalformed) {
			t.Fatalf("cut short after %d bytes: %v", i, err)
		}
	}
	if _, err := sheaves.Decode(append(b, 0)); !errors.Is(err, sheaves.ErrMalformed) {
		t.Errorf("a byte too many: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(example().Encode())
	f.Add((&sheaves.Sheaf{}).Encode())
	_, late := split(example(), func(k int) bool { return k > 2 })
	f.Add(late.Encode())
	f.Add([]byte("sheaf 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := sheaves.Decode(b); err == nil && string(s.Encode()) != string(b) {
			t.Error("it has two forms")
		}
	})
}
