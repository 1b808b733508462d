package state

import "github.com/sheafgrid/sheaf/task"

// index: what is derived is what deriving it again gives.
func (c *checker) index() {
	s := c.s
	for id := uint64(1); id < s.stages.Len(); id++ {
		x := &s.index.stages[id]
		waiting, ripe := uint64(0), uint64(0)
		for i := range s.tasks[id].tasks.Len() {
			t, ok := s.Task(task.StageID(id), i)
			if !ok || t.State != TaskLive {
				continue
			}
			if t.Want > 0 {
				waiting++
				k, ok := x.nextWaiting(i)
				c.expect(ok && k == i, "index: task %d of stage %d is not found waiting", i, id)
			}
			if t.Ripe {
				ripe++
				k, ok := x.nextRipe(i)
				c.expect(ok && k == i, "index: task %d of stage %d is not found ripe", i, id)
			}
		}
		found := uint64(0)
		for i, ok := x.nextRipe(0); ok; i, ok = x.nextRipe(i + 1) {
			found++
		}
		c.expect(x.wanting == waiting && found == ripe, "index: stage %d has %d waiting and %d ripe, found %d and %d", id, waiting, ripe, x.wanting, found)
		c.chunkIndex(task.StageID(id))
		c.stageIndex(task.StageID(id), ripe > 0)
	}
	c.openIndex()
}

// chunkIndex: chunks are found when they can be released or sealed.
func (c *checker) chunkIndex(id task.StageID) {
	s := c.s
	x, st := &s.index.stages[id], s.stages.At(uint64(id))
	running := s.jobs.At(uint64(st.Job)).State == JobRunning
	sealable, early, earlySealed := false, uint64(0), uint64(0)
	for k := range s.tasks[id].chunks.Len() {
		chunk := s.tasks[id].chunks.At(k)
		ready, ok := x.ready.next(k)
		c.expect((ok && ready == k) == (running && !chunk.Released && uint64(chunk.Decided) == chunkSize(st.Count, k)), "index: chunk %d of stage %d is ready to be released, or not", k, id)
		may, ok := x.sealable.next(k)
		c.expect((ok && may == k) == s.mayBeSealed(st, chunk), "index: chunk %d of stage %d may be sealed, or not", k, id)
		lagging, ok := x.lagging.next(k)
		c.expect((ok && lagging == k) == s.mayOverflow(id, k), "index: chunk %d of stage %d may be released without some tasks, or not", k, id)
		if o := s.overflowed(id, k); o != nil && !chunk.Released {
			early += s.sizeOf(id, k) - uint64(len(o.Late))
		}
		if o := s.overflowed(id, k); o != nil && o.Sealed && !chunk.Sealed {
			earlySealed += s.sizeOf(id, k) - uint64(len(o.Late))
		}
		sealable = sealable || s.mayBeSealed(st, chunk)
		c.expect((x.at(k) == nil) == chunk.Sealed, "index: chunk %d of stage %d is indexed although it is sealed, or the other way round", k, id)
	}
	c.expect(x.early == early && x.earlySealed == earlySealed, "index: stage %d has %d tasks released early and %d sealed, the index has %d and %d", id, early, earlySealed, x.early, x.earlySealed)
	found, ok := s.index.sealable.next(uint64(id))
	c.expect((ok && found == uint64(id)) == sealable, "index: stage %d has something to be sealed, or not", id)
}

// stageIndex: stages are found when something is to be done with them.
func (c *checker) stageIndex(id task.StageID, ripe bool) {
	s := c.s
	st, x := s.stages.At(uint64(id)), &s.index.stages[id]
	j := s.jobs.At(uint64(st.Job))
	running := j.State == JobRunning
	is := func(m *bitmap) bool {
		found, ok := m.next(uint64(id))
		return ok && found == uint64(id)
	}
	c.expect(is(&s.index.ripe) == (running && ripe), "index: stage %d has tasks to be judged, or not", id)
	c.expect(is(&s.index.ready) == (running && x.ready.count > 0), "index: stage %d has chunks to be released, or not", id)
	c.expect(is(&s.index.last) == (running && id == j.Stages[len(j.Stages)-1] && s.stageReleased(id) && s.index.specs[st.Job].Count(st.Level+1) > 0),
		"index: the level above stage %d is to be opened, or not", id)
	h := &s.index.deadlines
	k := 0
	if uint64(len(h.place)) > uint64(id) {
		k = int(h.place[id])
	}
	c.expect((k > 0) == (x.open > 0), "index: stage %d has %d attempts out, and a deadline, or not", id, x.open)
	c.expect(k == 0 || h.order[k-1].stage == id && !h.Less(k-1, (k-2)/2), "index: the deadline of stage %d is not where it is looked for", id)
}

// openIndex: attempts that are out are counted where they are looked for.
func (c *checker) openIndex() {
	s := c.s
	open := make([]int, s.hosts.Len())
	perStage := make([]int, s.stages.Len())
	for i := uint64(1); i < s.attempts.Len(); i++ {
		free, ok := s.index.freeAttempts.next(i)
		taken := s.attempts.Has(i) && s.attempts.At(i).State != AttemptNone
		c.expect((ok && free == i) == !taken, "index: slot %d is free, or not", i)
	}
	s.eachAttempt(func(i uint64, a *Attempt) {
		if a.State != AttemptOpen {
			return
		}
		open[a.Host]++
		perStage[a.Stage]++
		k := s.index.stages[a.Stage].at(uint64(a.Index) / ChunkTasks)
		c.expect(k != nil && k.attempts > 0 && k.soonest <= a.Deadline, "index: attempt %d expires before its chunk is looked at", i)
		h := &s.index.deadlines
		c.expect(h.order[h.place[a.Stage]-1].soonest <= a.Deadline, "index: attempt %d expires before its stage is looked at", i)
	})
	_, beyond := s.index.freeAttempts.next(s.attempts.Len())
	c.expect(!beyond, "index: a slot beyond the last one is free")
	for i := uint64(1); i < s.hosts.Len(); i++ {
		c.expect(len(s.index.open[i]) == open[i], "index: host %d holds %d attempts, the index has %d", i, open[i], len(s.index.open[i]))
	}
	for id := uint64(1); id < s.stages.Len(); id++ {
		c.expect(s.index.stages[id].open == perStage[id], "index: stage %d has %d attempts out, the index has %d", id, perStage[id], s.index.stages[id].open)
	}
	running := 0
	for i := uint64(1); i < s.jobs.Len(); i++ {
		if s.jobs.At(i).State == JobRunning {
			running++
		}
	}
	c.expect(len(s.index.deadlines.order) <= len(s.index.stages), "index: there are more deadlines than stages")
	c.expect(len(s.index.active) == running, "index: %d jobs run, the index has %d", running, len(s.index.active))
}
