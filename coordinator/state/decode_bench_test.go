package state_test

import (
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/task"
)

// What a node takes for the bytes of a log entry with 14 exchanges of 32 reports and
// 32 new tasks: as many as come together at half of what a cluster can do.
func BenchmarkDecodeEntry(b *testing.B) {
	const exchanges, batch = 14, 32
	e := state.Entry{Now: 1 << 40}
	for i := range exchanges {
		x := &state.Exchange{}
		for k := range batch {
			x.Reports = append(x.Reports, state.Report{Attempt: task.AttemptID(1<<20 + i*batch + k), Work: 12345, Output: task.Sum([]byte{byte(i), byte(k)})})
			x.Assign = append(x.Assign, state.Assignment{Stage: 3, Index: uint64(1<<20 + k)})
		}
		e.Commands = append(e.Commands, state.AppendCommand(nil, x))
	}
	encoded := state.EncodeEntry(e)
	b.SetBytes(int64(len(encoded)))
	b.ReportAllocs()
	var room state.CommandRoom
	for b.Loop() {
		room.Clear()
		if _, _, err := room.DecodeEntry(encoded); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/exchanges/batch, "ns/task")
}
