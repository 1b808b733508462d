package schedule

import "github.com/sheafgrid/sheaf/task"

// turn is what one contact has seen of a job.
type turn struct {
	contact uint64
	// Where the next look for a waiting task begins, and whether it has gone
	// round: it never looks at the same one twice.
	look, start       uint64
	begun, past, done bool
	// Where the look among those begun goes on, and how many for others it has
	// passed.
	place, seen int
	others      bool // tasks wait for other accounts
	looked      int  // at tasks, since the last pick
}

// pickFrom chooses one task of a job.
func (c *contact) pickFrom(j *job) (Pick, task.Reason) {
	j.turn.looked = 0
	if i, ok := c.pickWaiting(j); ok {
		return Pick{j.Stage, i}, task.ReasonNone
	}
	// Tasks of this stage that were picked and not applied yet lie above the
	// cursor. They may want further attempts of other accounts.
	if i, ok := c.further(j); ok {
		return Pick{j.Stage, i}, task.ReasonNone
	}
	next := j.next()
	switch {
	case next < j.Count && next-j.Cursor < maxAhead:
		return Pick{j.Stage, next}, task.ReasonNone
	case next < j.Count:
		return Pick{}, task.ReasonOverloaded
	case j.turn.others || !j.turn.done && j.Cursor > 0:
		return Pick{}, task.ReasonAllGiven // tasks wait, for other accounts than this
	}
	j.empty = true
	return Pick{}, task.ReasonInFlight
}

// pickWaiting finds a waiting task for the host. It starts at a random place,
// so that the tasks which this account has already computed do not stand in
// the way each time, and so that nobody chooses whose results his are compared
// with. The next pick of the same contact goes on where the last one ended.
func (c *contact) pickWaiting(j *job) (uint64, bool) {
	t := &j.turn
	if j.Cursor == 0 || t.done {
		return 0, false
	}
	if !t.begun {
		t.begun, t.start = true, t.look
	}
	for range maxScan {
		i, ok := c.view.Waiting(j.Stage, t.look)
		if !ok || t.past && i >= t.start {
			if t.past {
				t.done = true
				return 0, false
			}
			t.past, t.look = true, 0
			continue
		}
		t.look = i + 1
		t.looked++
		wants, taken := c.at(j, i)
		if wants > 0 && !taken {
			t.others = t.others || wants > 1
			return i, true
		}
		t.others = t.others || wants > 0
	}
	return 0, false
}

// further finds a task at or above the stage's cursor that was begun and wants
// a further attempt by the account. It goes on where the last look of this
// contact ended, and notes whether some are for other accounts only.
func (c *contact) further(j *job) (uint64, bool) {
	t, b := &j.turn, &j.picked.begun
	for ; t.place < len(b.order) && t.seen < maxScan; t.place++ {
		i := b.order[t.place]
		if i == gone {
			continue
		}
		wants, taken := 0, false
		if i >= j.Cursor {
			wants, taken = c.at(j, i)
		}
		switch {
		case wants <= 0:
			j.picked.drop(i)
		case !taken:
			return i, true
		default:
			t.others = true
			t.seen++
			t.looked++
		}
	}
	return 0, false
}

// at is how many attempts a task wants beyond those picked, and whether the
// account has, or was picked for, a place at it already.
func (c *contact) at(j *job, i uint64) (wants int, taken bool) {
	accounts := j.picked.tasks[i].accounts
	wants = j.Replicate
	if i < j.Cursor {
		wants = c.view.Wanted(j.Stage, i)
	}
	if wants -= len(accounts); wants <= 0 {
		return wants, false
	}
	for _, a := range accounts {
		if a == c.host.Account {
			return wants, true
		}
	}
	return wants, i < j.Cursor && c.view.Taken(j.Stage, i, c.host.Account)
}
