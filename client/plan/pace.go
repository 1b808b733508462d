package plan

import (
	"time"

	"github.com/sheafgrid/sheaf/task"
)

// Paces is how long tasks take on this machine, by program. The zero value
// knows none. Whoever owns it tells it with Note; Decide only reads it.
type Paces struct {
	programs map[task.Digest]pace
	notes    uint64
}

// pace is how long the tasks of one program take.
type pace struct {
	took time.Duration // smoothed
	last uint64        // number of its latest note
}

// maxPaces is how many programs are remembered.
const maxPaces = 64

// Note says that a task of a program ran for so long. What takes longer than
// before is believed sooner than what takes less: to hold too much work keeps
// others from it, to hold too little costs a call.
func (p *Paces) Note(program task.Digest, took time.Duration) {
	took = min(max(took, time.Microsecond), maxAbsent)
	if p.programs == nil {
		p.programs = map[task.Digest]pace{}
	}
	known, ok := p.programs[program]
	switch {
	case !ok:
		p.forget()
		known.took = took
	case took > known.took:
		known.took += (took - known.took) / 2
	default:
		known.took -= (known.took - took) / 4
	}
	p.notes++
	known.last = p.notes
	p.programs[program] = known
}

// forget makes room for one program: the one that ran longest ago goes.
func (p *Paces) forget() {
	if len(p.programs) < maxPaces {
		return
	}
	var oldest task.Digest
	last := p.notes + 1
	for program, known := range p.programs {
		if known.last < last {
			oldest, last = program, known.last
		}
	}
	delete(p.programs, oldest)
}

// expect is how long a task of a program will take, by the earlier ones. known
// is false where none was measured.
func (p *Paces) expect(program task.Digest) (took time.Duration, known bool) {
	k, known := p.programs[program]
	return k.took, known
}
