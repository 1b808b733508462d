package state_test

import (
	"reflect"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/task"
)

// Commands that are made where earlier ones were have nothing of those. Those of
// several entries stand side by side until the room is cleared.
func TestCommandRoom(t *testing.T) {
	exchange := func(reports, dropped, assign int) *state.Exchange {
		x := &state.Exchange{Request: state.Request{Number: uint64(reports)}}
		for i := range reports {
			x.Reports = append(x.Reports, state.Report{Attempt: task.AttemptID(i + 1), Refused: i%2 == 0, Work: uint64(assign)})
		}
		for i := range dropped {
			x.Dropped = append(x.Dropped, task.AttemptID(1000+i))
		}
		for i := range assign {
			x.Assign = append(x.Assign, state.Assignment{Stage: 1, Index: uint64(i)})
		}
		return x
	}
	entries := [][]state.Command{
		{exchange(3, 0, 2), exchange(0, 0, 0), &state.Release{Stage: 1, Chunk: 2}},
		{exchange(1, 1, 0)},
		{&state.Expire{Attempts: []task.AttemptID{4}}},
		{exchange(300, 2, 300), exchange(0, 1, 5), exchange(2, 0, 1)},
		{exchange(0, 0, 4), exchange(1, 0, 0)},
	}
	var room state.CommandRoom
	for round := range 6 {
		room.Clear()
		var got, want [][]state.Command
		for i := range 1 + round%3 {
			e := state.Entry{Now: task.Millis(round)}
			commands := entries[(round+i)%len(entries)]
			for _, c := range commands {
				e.Commands = append(e.Commands, state.EncodeCommand(c))
			}
			encoded := state.EncodeEntry(e)
			now, decoded, err := room.DecodeEntry(encoded)
			if err != nil || now != e.Now {
				t.Fatal(now, err)
			}
			clear(encoded) // the log's memory is not the commands'
			got, want = append(got, decoded), append(want, commands)
		}
		for i := range got {
			for k, c := range got[i] {
				if x, ok := c.(*state.Exchange); ok { // no elements are as good as no list
					c = &state.Exchange{Request: x.Request, Reports: append([]state.Report(nil), x.Reports...), Dropped: append([]task.AttemptID(nil), x.Dropped...), Assign: append([]state.Assignment(nil), x.Assign...)}
				}
				if !reflect.DeepEqual(c, want[i][k]) {
					t.Errorf("round %d: got %+v, want %+v", round, c, want[i][k])
				}
			}
		}
	}
}
