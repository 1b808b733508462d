package state_test

import (
	"fmt"
	"runtime"
	"testing"
	"unsafe"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// A live task must stay small: a million of them with two attempts each are
// what a coordinator holds in memory.
func TestRecordsAreSmall(t *testing.T) {
	task, attempt := unsafe.Sizeof(state.Task{}), unsafe.Sizeof(state.Attempt{})
	if task > 16 || attempt > 72 {
		t.Errorf("a task takes %d bytes, an attempt %d; want at most 16 and 72", task, attempt)
	}
}

// BenchmarkLiveTasks hands out tasks to hosts of two accounts, a pair for each
// chunk, and says what a task with two open attempts takes in memory, and what it costs
// to hand out, report, judge, release and seal one.
func BenchmarkLiveTasks(b *testing.B) {
	const chunk = state.ChunkTasks
	s := liveState(b)
	live := uint64(b.N+chunk-1) / chunk * chunk
	s.enrol(int(live / chunk))
	var out [2][]task.AttemptID
	out[0], out[1] = make([]task.AttemptID, 0, live), make([]task.AttemptID, 0, live)
	before := heap()
	b.ResetTimer()
	for from := uint64(0); from < live; from += 32 {
		for h := range out {
			out[h] = append(out[h], s.give(h, from)...)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(heap()-before)/float64(live), "B/task")
	b.StartTimer()
	for k := 0; k < int(live); k += 32 {
		for h := range out {
			s.report(h, uint64(k), out[h][k:k+32])
		}
		if k%chunk == chunk-32 {
			s.finish(uint64(k / chunk))
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(heap()-before)/float64(live), "B/sealed")
	if err := s.s.Check(); err != nil {
		b.Fatal(err)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// live is a state with one large job and two hosts, driven without its checker.
type live struct {
	b       *testing.B
	s       *state.State
	numbers map[task.Key]uint64
}

func liveState(b *testing.B) *live {
	l := &live{b: b, s: state.New(), numbers: map[task.Key]uint64{}}
	l.do(&state.InitCluster{ID: task.ClusterID{1}, Anyone: true})
	l.do(&state.CreateProject{Request: l.request(publisher), Name: "science"})
	l.do(&state.Publish{Request: l.request(publisher), Project: "science", App: "app", Program: program, Meter: 1})
	l.do(&state.SubmitJob{Request: l.request(publisher), Project: "science", Spec: protocol.EncodeSpec(spec(task.MaxTasks, 2))})
	return l
}

// enrol makes a pair of hosts, of two accounts, for each chunk.
func (l *live) enrol(chunks int) {
	for c := range chunks {
		for h := range 2 {
			l.do(&state.Enrol{Request: l.request(hostOf(h, uint64(c)*state.ChunkTasks)), Account: key(byte(100 + h)), HostName: fmt.Sprint(h)})
		}
	}
}

// hostOf is the key of the pair's host h that computes task i.
func hostOf(h int, i uint64) task.Key {
	chunk := i / state.ChunkTasks
	return task.Key{byte(h), byte(chunk), byte(chunk >> 8), 'h'}
}

func (l *live) request(k task.Key) state.Request {
	l.numbers[k]++
	return state.Request{Key: k, Session: 1, Opened: 1000, Number: l.numbers[k]}
}

func (l *live) do(c state.Command) state.Answer {
	r := l.s.Apply(1000, []state.Command{c})[0]
	if r.Answer.Error != nil {
		l.b.Fatal(r.Answer.Error)
	}
	return r.Answer
}

func (l *live) give(host int, from uint64) []task.AttemptID {
	c := &state.Exchange{Request: l.request(hostOf(host, from))}
	for i := from; i < from+32; i++ {
		c.Assign = append(c.Assign, state.Assignment{Stage: 1, Index: i})
	}
	return l.do(c).Attempts
}

func (l *live) report(host int, from uint64, ids []task.AttemptID) {
	c := &state.Exchange{Request: l.request(hostOf(host, from))}
	for _, id := range ids {
		c.Reports = append(c.Reports, result(id, 1))
	}
	l.do(c)
}

func (l *live) finish(chunk uint64) {
	j := &state.Judge{}
	for i := chunk * state.ChunkTasks; i < (chunk+1)*state.ChunkTasks; i++ {
		l.s.Attempts(1, i, func(id task.AttemptID, _ *state.Attempt) {
			if len(j.Verdicts) == 0 || j.Verdicts[len(j.Verdicts)-1].Index != i {
				j.Verdicts = append(j.Verdicts, state.Verdict{Stage: 1, Index: i, Winner: id})
			}
		})
	}
	l.do(j)
	l.do(&state.Release{Stage: 1, Chunk: chunk})
	kept, _ := l.s.Collect(1, chunk, new(state.SheafRoom))
	l.do(&state.Seal{Stage: 1, Chunk: chunk, Sheaf: kept.Digest()})
}
