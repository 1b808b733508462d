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
	for i := range c.exchange.Reports {
		r := &c.exchange.Reports[i]
		entry := state.Report{Attempt: r.Attempt, Failure: r.Failure}
		if r.Failure == protocol.FailureNone {
			why, err := d.verifyResult(ctx, c, r)
			if err != nil {
				return err
			}
			entry.Exit, entry.Work, entry.Output = r.Exit, r.Work, task.Sum(r.Outputs)
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
func (d *Dispatcher) verifyResult(ctx context.Context, c *contact, r *protocol.Report) (why, err error) {
	a, ok := d.assigned(c, r.Attempt)
	if !ok {
		return nil, nil // Apply says what became of it; its outputs are of no use
	}
	t, err := d.taskOf(ctx, a)
	if err != nil {
		return nil, err
	}
	if t.Sum() != r.Task {
		return fmt.Errorf("T1: it is for another task than was handed out"), nil
	}
	if !r.Exit.Valid() || r.Work > t.Limits.Work && r.Exit != task.ExitWorkLimit || r.Work > task.MaxWork {
		return fmt.Errorf("exit %d after %d instructions cannot be", r.Exit, r.Work), nil
	}
	list, err := task.DecodeOutputList(r.Outputs)
	if err != nil {
		return err, nil
	}
	if most := a.spec.MaxOutputs(a.level); len(list) > most {
		return fmt.Errorf("%d outputs, at most %d of each task can be read by the reduction that follows", len(list), most), nil
	}
	if size := list.Size(); uint64(size) > t.Limits.Output {
		return fmt.Errorf("outputs of %d bytes, the limit is %d", size, t.Limits.Output), nil
	}
	if r.Exit.Trap() && list.Digest() != emptyOutputs {
		return fmt.Errorf("a trap leaves no outputs"), nil
	}
	return d.verifyOutputs(ctx, c, r, list)
}

func (d *Dispatcher) assigned(c *contact, id task.AttemptID) (a assigned, ok bool) {
	d.node.View(func(s *state.State) {
		at, known := s.Attempt(id)
		if !known || at.Host != c.host.ID || at.State != state.AttemptOpen && at.State != state.AttemptExpired {
			return
		}
		a, ok = assignedAt(s, at.Stage, uint64(at.Index)), true
	})
	return a, ok
}

// verifyOutputs makes sure that every output is here, or came along whole.
func (d *Dispatcher) verifyOutputs(ctx context.Context, c *contact, r *protocol.Report, list task.OutputList) (why, err error) {
	keep := []storage.Small{{Digest: task.Sum(r.Outputs), Bytes: r.Outputs}}
	if len(r.Inline) > 0 {
		if len(r.Inline) != len(list) {
			return fmt.Errorf("%d outputs are listed, %d came along", len(list), len(r.Inline)), nil
		}
		total := 0
		for i, b := range r.Inline {
			total += len(b)
			if int64(len(b)) != list[i].Size || task.Sum(b) != list[i].Digest {
				return fmt.Errorf("output %q is not what its list says", list[i].Name), nil
			}
			keep = append(keep, storage.Small{Digest: list[i].Digest, Bytes: b})
		}
		if total > protocol.MaxInline {
			return fmt.Errorf("outputs of %d bytes inside of an exchange, at most %d; upload them", total, protocol.MaxInline), nil
		}
		c.outputs = append(c.outputs, keep...)
		return nil, nil
	}
	for _, f := range list {
		ok, err := d.outputs.Have(ctx, f.Digest)
		if err != nil {
			return nil, storageRefusal(err)
		}
		if !ok {
			return fmt.Errorf("output %q was not uploaded", f.Name), nil
		}
	}
	c.outputs = append(c.outputs, keep...)
	return nil, nil
}
