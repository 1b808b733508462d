package dispatch

import (
	"context"
	"fmt"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// emptyOutputs is the list of a program that left nothing behind.
var emptyOutputs = task.OutputList{}.Digest()

// verify turns the host's reports into what the log records. A report that
// does not hold is refused by itself: the attempt is given back, and the
// others go on. An error means that something here could not be read; the
// whole exchange is to be repeated.
func (d *Dispatcher) verify(ctx context.Context, c *contact) error {
	for i := range c.returned {
		r := &c.exchange.Reports[i]
		entry := state.Report{Attempt: r.Attempt, Failure: r.Failure}
		if r.Failure == protocol.FailureNone {
			why, err := d.verifyResult(ctx, c, r, &c.returned[i])
			if err != nil {
				return err
			}
			entry.Exit, entry.Work, entry.Output = r.Exit, r.Work, c.returned[i].list.Digest
			if why != nil {
				d.log.Warn("refused a report", "host", c.request.Key, "attempt", r.Attempt, "why", why)
				entry = state.Report{Attempt: r.Attempt, Refused: true}
			}
		} else if !r.Failure.Valid() {
			entry = state.Report{Attempt: r.Attempt, Failure: protocol.FailureEngine}
		} else {
			d.log.Info("an attempt brought no result", "host", c.request.Key, "attempt", r.Attempt, "failure", r.Failure.String(), "note", clip(r.Note))
		}
		c.reports = append(c.reports, entry)
	}
	return nil
}

func clip(s string) string {
	if len(s) > protocol.MaxNote {
		return s[:protocol.MaxNote]
	}
	return s
}

// verifyResult checks a result against its task (T1) and its outputs against
// their digests and limits, and collects those that came along.
func (d *Dispatcher) verifyResult(ctx context.Context, c *contact, r *protocol.Report, at *returned) (why, err error) {
	if !at.known {
		return nil, nil // Apply says what became of it; its outputs are of no use
	}
	sum, err := d.sumOf(ctx, &at.task)
	if err != nil {
		return nil, err
	}
	if sum != r.Task {
		return fmt.Errorf("T1: it is for another task than was handed out"), nil
	}
	limits := at.task.limits()
	if !r.Exit.Valid() || r.Work > limits.Work && r.Exit != task.ExitWorkLimit || r.Work > task.MaxWork {
		return fmt.Errorf("exit %d after %d instructions cannot be", r.Exit, r.Work), nil
	}
	if r.Exit.Trap() && at.list.Digest != emptyOutputs {
		return fmt.Errorf("a trap leaves no outputs"), nil
	}
	at.list.Group = state.OutputGroup(at.task.stage, at.task.i)
	if at.held { // the same list passed what follows, for the same task
		c.outputs = append(c.outputs, at.list) // so that the answer takes as long as another's (T3)
		return nil, nil
	}
	list, err := task.ReadOutputList(r.Outputs, c.list)
	if err != nil {
		return err, nil
	}
	c.list = list
	if most := at.task.spec.MaxOutputs(at.task.level); len(list) > most {
		return fmt.Errorf("%d outputs, at most %d of each task can be read by the reduction that follows", len(list), most), nil
	}
	if size := list.Size(); uint64(size) > limits.Output {
		return fmt.Errorf("outputs of %d bytes, the limit is %d", size, limits.Output), nil
	}
	if len(r.Inline) > 0 {
		return collect(c, r, at.list, list), nil
	}
	return d.uploaded(ctx, c, at.list, list)
}

// collect takes the outputs that came along with a report.
func collect(c *contact, r *protocol.Report, encoded storage.Small, list task.OutputList) (why error) {
	if len(r.Inline) != len(list) {
		return fmt.Errorf("%d outputs are listed, %d came along", len(list), len(r.Inline))
	}
	before, total := len(c.outputs), 0
	c.outputs = append(c.outputs, encoded)
	for i, b := range r.Inline {
		total += len(b)
		blob := storage.SmallOf(b)
		blob.Group = encoded.Group
		if int64(len(b)) != list[i].Size || blob.Digest != list[i].Digest {
			why = fmt.Errorf("output %q is not what its list says", list[i].Name)
		}
		c.outputs = append(c.outputs, blob)
	}
	if total > protocol.MaxInline {
		why = fmt.Errorf("outputs of %d bytes inside of an exchange, at most %d; upload them", total, protocol.MaxInline)
	}
	if why != nil {
		clear(c.outputs[before:])
		c.outputs = c.outputs[:before]
	}
	return why
}

// uploaded makes sure that the outputs of a report that brings none are here.
func (d *Dispatcher) uploaded(ctx context.Context, c *contact, encoded storage.Small, list task.OutputList) (why, err error) {
	for _, f := range list {
		ok, err := d.outputs.Have(ctx, f.Digest)
		if err != nil {
			return nil, storageRefusal(err)
		}
		if !ok {
			return fmt.Errorf("output %q was not uploaded", f.Name), nil
		}
	}
	c.outputs = append(c.outputs, encoded)
	return nil, nil
}
