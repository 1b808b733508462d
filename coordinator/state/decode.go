package state

import (
	"fmt"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/task"
)

// DecodeEntry reads a log entry. An error means that this node must stop: the
// log is damaged, or written by a newer program (R4).
func DecodeEntry(b []byte) (now task.Millis, commands []Command, err error) {
	return new(CommandRoom).DecodeEntry(b)
}

// CommandRoom is memory for what entries are decoded to. Apply keeps nothing of it.
// The zero value is ready.
type CommandRoom struct {
	commands  [][]byte // the last entry's
	exchanges []*Exchange
	used      int // of the exchanges
}

// Exchanges that the room is kept of are at most so many, with at most so many reports
// and assignments each: 1.5 MiB.
const (
	keptExchanges = 64
	keptReports   = 256
)

// Clear gives up all commands that were decoded: the next ones are made where they
// were.
func (r *CommandRoom) Clear() {
	kept := r.exchanges[:0]
	for _, c := range r.exchanges {
		if len(kept) < keptExchanges && max(cap(c.Reports), cap(c.Assign), cap(c.Dropped)) <= keptReports {
			kept = append(kept, c)
		}
	}
	clear(r.exchanges[len(kept):])
	r.exchanges, r.used = kept, 0
}

// DecodeEntry is DecodeEntry with commands that are there until Clear.
func (r *CommandRoom) DecodeEntry(b []byte) (now task.Millis, commands []Command, err error) {
	kind, payload, err := wire.Open(b, MaxEntry)
	if err != nil {
		return 0, nil, fmt.Errorf("log entry: %w", err)
	}
	if kind != frameEntry {
		return 0, nil, fmt.Errorf("log entry: frame of kind %d: %w", kind, wire.ErrMalformed)
	}
	e := entryBytes{Commands: r.commands[:0]}
	if err := wire.Unmarshal(payload, &e, wire.Shared, wire.Reused); err != nil {
		return 0, nil, fmt.Errorf("log entry: %w", err)
	}
	commands = make([]Command, 0, len(e.Commands))
	for i, b := range e.Commands {
		c, err := r.command(b)
		if err != nil {
			return 0, nil, fmt.Errorf("log entry: command %d: %w", i, err)
		}
		commands = append(commands, c)
	}
	clear(e.Commands)
	r.commands = e.Commands
	return e.Now, commands, nil
}

func (r *CommandRoom) command(b []byte) (Command, error) {
	kind, payload, err := wire.Open(b, MaxEntry)
	if err != nil {
		return nil, err
	}
	var c Command
	if kind == kindExchange { // nearly all are
		c = r.exchange()
		err = wire.Unmarshal(payload, c, wire.Reused)
	} else if c = newCommand(kind); c == nil {
		return nil, fmt.Errorf("kind %d is not known to this program: %w", kind, ErrNewer)
	} else {
		err = wire.Unmarshal(payload, c)
	}
	if err == nil {
		err = known(c)
	}
	return c, err
}

// exchange is an empty exchange with the room of an earlier one, if there is one.
func (r *CommandRoom) exchange() *Exchange {
	if r.used == len(r.exchanges) {
		r.exchanges = append(r.exchanges, &Exchange{})
	}
	c := r.exchanges[r.used]
	r.used++
	*c = Exchange{Reports: c.Reports[:0], Dropped: c.Dropped[:0], Assign: c.Assign[:0]}
	return c
}
