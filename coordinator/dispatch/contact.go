package dispatch

import (
	"github.com/sheafgrid/sheaf/coordinator/schedule"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// contact is one exchange on its way. When it is over its lists are emptied, and
// the next exchange works in their room: nobody else may hold on to them.
type contact struct {
	request  state.Request
	exchange protocol.Exchange
	host     schedule.Host
	facts    protocol.HostFacts      // as logged
	seen     task.Millis             // as logged
	has      map[task.AttemptID]bool // what the host holds or reports
	returned []returned              // what the exchange reports
	reports  []state.Report
	list     task.OutputList // the one that is verified now
	outputs  []storage.Small
	dropped  []task.AttemptID
	tasks    []assigned // that are made: of the picks, then of the answer
	assign   []state.Assignment
	reason   task.Reason
}

// returned is what a report says, beside the task it was handed out for.
type returned struct {
	list  storage.Small // the list of its outputs; none with a failure
	task  assigned
	known bool // the attempt is one that the host may report
	held  bool // an equal result was accepted: its outputs are on a majority (R1)
}

func newContact() any { return &contact{has: map[task.AttemptID]bool{}} }

// forget empties a contact for the next exchange. It lets go of the request's
// bytes, and of room that hardly any exchange needs.
func (c *contact) forget() {
	x := &c.exchange
	if len(x.Reports) > protocol.MaxReports || len(x.Held) > 2*protocol.MaxReports || len(c.outputs) > 4*protocol.MaxReports || cap(c.list) > protocol.MaxReports {
		*c = *newContact().(*contact)
		return
	}
	clear(x.Reports)
	clear(c.returned)
	clear(c.outputs)
	clear(c.tasks)
	clear(c.has)
	clear(c.list[:cap(c.list)])
	*c = contact{
		exchange: protocol.Exchange{Reports: x.Reports[:0], Held: x.Held[:0]},
		has:      c.has,
		returned: c.returned[:0],
		reports:  c.reports[:0],
		list:     c.list[:0],
		outputs:  c.outputs[:0],
		dropped:  c.dropped[:0],
		tasks:    c.tasks[:0],
		assign:   c.assign[:0],
	}
}
