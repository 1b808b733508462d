package protocol

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/task"
)

// Reply answers every request. Exactly one of Error and the answer that fits
// the request is set.
type Reply struct {
	Error    *Error
	Exchange *ExchangeReply
	Done     *Done
}

// Done answers a request that is not an exchange.
type Done struct {
	Job     task.JobID  `msgpack:"j,omitempty"` // of a submission
	Existed bool        `msgpack:"x,omitempty"` // it was there already, and nothing changed
	Time    task.Millis `msgpack:"t"`
	Members []Member    `msgpack:"m,omitempty"`
	Leader  task.NodeID `msgpack:"l,omitempty"`
}

// replyBytes is a Reply on the wire.
type replyBytes struct {
	Error    *Error         `msgpack:"e,omitempty"`
	Exchange *exchangeBytes `msgpack:"x,omitempty"`
	Done     *Done          `msgpack:"d,omitempty"`
}

// exchangeBytes is an ExchangeReply on the wire. What tasks have in common that
// are of one level of a job stands there once.
type exchangeBytes struct {
	Acks        []Ack            `msgpack:"k,omitempty"`
	Attempts    []attemptBytes   `msgpack:"a,omitempty"`
	Levels      []levelBytes     `msgpack:"v,omitempty"`
	Cancel      []task.AttemptID `msgpack:"c,omitempty"`
	Reason      task.Reason      `msgpack:"r,omitempty"`
	AfterMillis uint32           `msgpack:"w"`
	NextMillis  uint32           `msgpack:"x"`
	Time        task.Millis      `msgpack:"t"`
	Members     []Member         `msgpack:"m,omitempty"`
	Leader      task.NodeID      `msgpack:"l,omitempty"`
}

// attemptBytes is an Attempt without what its level has.
type attemptBytes struct {
	ID             task.AttemptID    `msgpack:"i"`
	Level          uint16            `msgpack:"v,omitempty"` // its place in exchangeBytes.Levels
	Index          uint64            `msgpack:"x"`
	Args           []string          `msgpack:"a,omitempty"`
	Inputs         []task.InputRange `msgpack:"n,omitempty"`
	Seed           uint64            `msgpack:"e"`
	Sum            task.Digest       `msgpack:"s"`
	DeadlineMillis uint64            `msgpack:"d"`
}

// levelBytes is what the tasks of one level of a job have in common.
type levelBytes struct {
	Job     task.JobID  `msgpack:"j"`
	Level   uint8       `msgpack:"v"`
	Program task.Digest `msgpack:"p"`
	Meter   uint16      `msgpack:"m"`
	Limits  task.Limits `msgpack:"l"`
	Signed  Signed      `msgpack:"s"`
}

func (l *levelBytes) holds(a *Attempt) bool {
	t, v := &a.Task, &a.Version
	return l.Job == t.Job && l.Level == t.Level && l.Program == t.Program && l.Meter == t.Meter && l.Limits == t.Limits &&
		l.Signed.Project == v.Project && l.Signed.App == v.App && l.Signed.Publisher == v.Publisher && bytes.Equal(l.Signed.Signature, v.Signature)
}

// Encode is the reply as it is sent.
func (r *Reply) Encode() []byte { return r.Append(nil) }

// Append appends the reply as it is sent.
func (r *Reply) Append(b []byte) []byte {
	in := replyBytes{Error: r.Error, Done: r.Done}
	if r.Exchange == nil {
		return wire.AppendSealed(b, FrameReply, &in)
	}
	in.Exchange = exchanges.Get().(*exchangeBytes)
	in.Exchange.set(r.Exchange)
	b = wire.AppendSealed(b, FrameReply, &in)
	if len(in.Exchange.Attempts) <= MaxWanted {
		exchanges.Put(in.Exchange)
	}
	return b
}

// exchanges holds what replies were put together in, on their way to their bytes.
var exchanges = sync.Pool{New: func() any { return new(exchangeBytes) }}

func (b *exchangeBytes) set(x *ExchangeReply) {
	*b = exchangeBytes{
		Acks: x.Acks, Cancel: x.Cancel, Reason: x.Reason, AfterMillis: x.AfterMillis, NextMillis: x.NextMillis,
		Time: x.Time, Members: x.Members, Leader: x.Leader,
		Attempts: b.Attempts[:0], Levels: b.Levels[:0],
	}
	for i := range x.Attempts {
		a := &x.Attempts[i]
		b.Attempts = append(b.Attempts, attemptBytes{
			ID: a.ID, Level: b.level(a), Index: a.Task.Index, Args: a.Task.Args, Inputs: a.Task.Inputs, Seed: a.Task.Seed,
			Sum: a.Sum, DeadlineMillis: a.DeadlineMillis,
		})
	}
}

// level is the place of an attempt's level, which is added if it is new.
func (b *exchangeBytes) level(a *Attempt) uint16 {
	for k := len(b.Levels) - 1; k >= 0; k-- {
		if b.Levels[k].holds(a) {
			return uint16(k)
		}
	}
	t := &a.Task
	b.Levels = append(b.Levels, levelBytes{Job: t.Job, Level: t.Level, Program: t.Program, Meter: t.Meter, Limits: t.Limits, Signed: a.Version})
	return uint16(len(b.Levels) - 1)
}

// DecodeReply reads what Encode wrote. Its error is about the bytes; a refusal
// inside of the reply is in Reply.Error.
func DecodeReply(b []byte) (*Reply, error) {
	kind, payload, err := wire.Open(b, MaxReply)
	if err != nil {
		return nil, err
	}
	if kind != FrameReply {
		return nil, Refuse(CodeMalformed, "frame of kind %d is not a reply", kind)
	}
	var in replyBytes
	if err := wire.UnmarshalLax(payload, &in); err != nil {
		return nil, err
	}
	r := &Reply{Error: in.Error, Done: in.Done}
	if in.Exchange != nil {
		r.Exchange, err = in.Exchange.reply()
	}
	return r, err
}

func (b *exchangeBytes) reply() (*ExchangeReply, error) {
	x := &ExchangeReply{
		Acks: b.Acks, Cancel: b.Cancel, Reason: b.Reason, AfterMillis: b.AfterMillis, NextMillis: b.NextMillis,
		Time: b.Time, Members: b.Members, Leader: b.Leader,
	}
	for i := range b.Attempts {
		a := &b.Attempts[i]
		if int(a.Level) >= len(b.Levels) {
			return nil, fmt.Errorf("%w: attempt %d is of level %d of the reply, which has %d", wire.ErrMalformed, a.ID, a.Level, len(b.Levels))
		}
		l := &b.Levels[a.Level]
		x.Attempts = append(x.Attempts, Attempt{
			ID: a.ID, Sum: a.Sum, DeadlineMillis: a.DeadlineMillis, Version: l.Signed,
			Task: task.Task{
				Job: l.Job, Level: l.Level, Index: a.Index, Program: l.Program, Meter: l.Meter,
				Args: a.Args, Inputs: a.Inputs, Limits: l.Limits, Seed: a.Seed,
			},
		})
	}
	return x, nil
}
