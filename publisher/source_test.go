package publisher_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/task"
)

// output is one task as it ended: its exit and files, or failed.
type output struct {
	exit   task.Exit
	failed bool
	files  map[string]string
}

func (o *output) list() task.OutputList {
	var l task.OutputList
	for name, content := range o.files {
		l = append(l, task.OutputFile{Name: name, Size: int64(len(content)), Digest: task.Sum([]byte(content))})
	}
	l.Sort()
	return l
}

func (o *output) view(i int) protocol.ResultView {
	v := protocol.ResultView{Index: uint64(i), Verdict: protocol.VerdictAccepted, Exit: o.exit, Ended: o.exit.String(), Work: uint64(1000 + i), Attempts: 2, Agreed: 2}
	if o.failed {
		v.Verdict, v.Exit, v.Why, v.Agreed = protocol.VerdictFailed, 0, "no two hosts agreed", 0
		return v
	}
	v.Files = o.list()
	v.Output = v.Files.Digest()
	return v
}

// fakeJob is a job in memory, and a coordinator that tells it. The functions,
// where they are set, let it lie.
type fakeJob struct {
	mu      sync.Mutex
	id      task.JobID
	spec    task.JobSpec
	levels  [][]output
	hidden  map[string]bool // "level/index": not released
	state   string
	calls   int // of Output
	fetched []string

	page   int // results a page; 0: as asked
	view   func(*protocol.JobView)
	result func(level uint8, v *protocol.ResultView)
	answer func(level uint8, p *protocol.ResultPage)
	body   func(level uint8, index uint64, content string) io.Reader
	before func(call int) error // of Output
}

var fakeCluster = task.ClusterID{1, 2, 3}

// newFakeJob makes a finished job of so many tasks, with a reduction over
// groups of fanIn, or none for 0.
func newFakeJob(t testing.TB, tasks int, fanIn uint32, collect task.Collect) *fakeJob {
	t.Helper()
	limits := task.Limits{Work: 1e9, Memory: 1 << 20, Output: 1 << 20, Wall: 60_000, Deadline: 600_000}
	j := &fakeJob{id: task.NewJobID(task.Key{7}, 1, 1), state: "done", hidden: map[string]bool{}, spec: task.JobSpec{
		Name: "a job & <more>", Program: task.Sum([]byte("program")), Meter: 1, Args: []string{"{from}"},
		Split:  task.Split{Kind: task.SplitRange, Range: task.Range{To: int64(tasks) * 10, Step: 10}},
		Check:  task.Check{Replicate: 2, MaxAttempts: 16},
		Limits: limits, Seed: 1, Collect: collect,
	}}
	if fanIn > 0 {
		j.spec.Reduce = &task.Reduce{Program: task.Sum([]byte("reduce")), Meter: 1, FanIn: fanIn, Limits: limits}
	}
	if err := j.spec.Validate(); err != nil {
		t.Fatal(err)
	}
	for level := range j.spec.Levels() {
		var outputs []output
		for i := range j.spec.Count(level) {
			outputs = append(outputs, output{files: map[string]string{
				"stdout": fmt.Sprintf("level %d task %d\n", level, i), "out/data/m.bin": strings.Repeat(fmt.Sprint(i), int(i%5)),
			}})
		}
		j.levels = append(j.levels, outputs)
	}
	return j
}

func (j *fakeJob) released(level int, i int) bool { return !j.hidden[fmt.Sprintf("%d/%d", level, i)] }

// root is a level's root, or none while results are hidden.
func (j *fakeJob) root(level int) task.Digest {
	var tree task.Tree
	for i := range j.levels[level] {
		if !j.released(level, i) {
			return task.Digest{}
		}
		v := j.levels[level][i].view(i)
		if v.Verdict == protocol.VerdictFailed {
			tree.Add(task.FailedLeaf(v.Index))
		} else {
			tree.Add(task.Leaf(v.Index, v.Exit, v.Output))
		}
	}
	return tree.Root()
}

func (j *fakeJob) Cluster(context.Context) (task.ClusterID, error) { return fakeCluster, nil }

func (j *fakeJob) Job(context.Context, task.JobID) (protocol.JobView, error) {
	v := protocol.JobView{
		Job: j.id, Name: j.spec.Name, Project: "examples", Publisher: task.Key{9}, State: j.state,
		Collect: j.spec.Collect, AllLevels: j.spec.Levels(), ResultRoot: j.root(0),
	}
	for level := range j.levels {
		v.Levels = append(v.Levels, protocol.LevelView{Level: uint8(level), Tasks: j.spec.Count(uint8(level)), Root: j.root(level)})
	}
	if last := len(v.Levels) - 1; j.spec.Reduce != nil && last == int(j.spec.Levels())-1 {
		v.ReduceRoot = v.Levels[last].Root
	}
	if j.view != nil {
		j.view(&v)
	}
	return v, nil
}

func (j *fakeJob) Spec(context.Context, task.JobID) ([]byte, error) {
	return protocol.EncodeSpec(&j.spec), nil
}

func (j *fakeJob) Results(_ context.Context, _ task.JobID, level uint8, from uint64, limit int) (protocol.ResultPage, error) {
	if j.page > 0 {
		limit = min(limit, j.page)
	}
	p := protocol.ResultPage{Next: from, Done: true}
	for i := int(from); i < len(j.levels[level]); i++ {
		if len(p.Results) == limit {
			p.Done = false
			break
		}
		p.Next = uint64(i) + 1
		if !j.released(int(level), i) {
			continue
		}
		v := j.levels[level][i].view(i)
		if j.result != nil {
			j.result(level, &v)
		}
		p.Results = append(p.Results, v)
	}
	if j.answer != nil {
		j.answer(level, &p)
	}
	return p, nil
}

func (j *fakeJob) Output(_ context.Context, _ task.JobID, level uint8, index uint64, file int) (io.ReadCloser, error) {
	o := &j.levels[level][index]
	name := o.list()[file].Name
	j.mu.Lock()
	j.calls++
	call := j.calls
	j.fetched = append(j.fetched, fmt.Sprintf("%d/%d/%s", level, index, name))
	j.mu.Unlock()
	if j.before != nil {
		if err := j.before(call); err != nil {
			return nil, err
		}
	}
	if j.body != nil {
		return io.NopCloser(j.body(level, index, o.files[name])), nil
	}
	return io.NopCloser(bytes.NewReader([]byte(o.files[name]))), nil
}

// downloads returns what was fetched since it was last asked, in order.
func (j *fakeJob) downloads() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	got := j.fetched
	j.fetched = nil
	slices.Sort(got)
	return got
}

var errNetwork = errors.New("network is down")

var _ publisher.Source = (*fakeJob)(nil)
