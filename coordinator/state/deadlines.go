package state

import (
	"container/heap"

	"github.com/sheafgrid/sheaf/task"
)

// deadlines are the stages with attempts out, as a heap: the first is the one
// whose attempts may expire soonest.
type deadlines struct {
	order []deadline
	place []int32 // by StageID: in order, counted from 1; 0: it is not there
}

// deadline is a time before which no attempt of a stage expires.
type deadline struct {
	stage   task.StageID
	soonest task.Millis
}

// lower notes that an attempt of a stage expires at a time.
func (h *deadlines) lower(stage task.StageID, at task.Millis) {
	for uint64(len(h.place)) <= uint64(stage) {
		h.place = append(h.place, 0)
	}
	k := int(h.place[stage]) - 1
	if k < 0 {
		heap.Push(h, deadline{stage, at})
	} else if at < h.order[k].soonest {
		h.order[k].soonest = at
		heap.Fix(h, k)
	}
}

// drop forgets a stage.
func (h *deadlines) drop(stage task.StageID) { heap.Remove(h, int(h.place[stage])-1) }

// What follows is for package heap.

func (h *deadlines) Len() int           { return len(h.order) }
func (h *deadlines) Less(i, k int) bool { return h.order[i].soonest < h.order[k].soonest }

func (h *deadlines) Swap(i, k int) {
	h.order[i], h.order[k] = h.order[k], h.order[i]
	h.place[h.order[i].stage], h.place[h.order[k].stage] = int32(i+1), int32(k+1)
}

func (h *deadlines) Push(x any) {
	d := x.(deadline)
	h.order = append(h.order, d)
	h.place[d.stage] = int32(len(h.order))
}

func (h *deadlines) Pop() any {
	d := h.order[len(h.order)-1]
	h.order, h.place[d.stage] = h.order[:len(h.order)-1], 0
	return d
}
