package coordinatortest_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/coordinatortest"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/examples"
	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// program is a real module, which the coordinator checks; hosts here pretend
// to run it.
func program(t *testing.T) []byte {
	t.Helper()
	b, err := fs.ReadFile(examples.Files(), "primes/count.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func spec(t *testing.T, tasks int64, replicate uint8) *task.JobSpec {
	return &task.JobSpec{
		Name: "test", Program: task.Sum(program(t)), Meter: 1, Args: []string{"{from}"},
		Split:  task.Split{Kind: task.SplitRange, Range: task.Range{To: tasks, Step: 1}},
		Check:  task.Check{Replicate: replicate, MaxAttempts: 20},
		Limits: task.Limits{Work: 1e9, Memory: 16 << 20, Output: 1 << 20, Wall: 60_000, Deadline: 60_000},
	}
}

// honest computes what everybody agrees on.
func honest(k *task.Task) (task.Exit, map[string]string) {
	text := fmt.Sprintf("level %d task %d args %v inputs %d\n", k.Level, k.Index, k.Args, len(k.Inputs))
	return 0, map[string]string{task.OutputStdout: text, task.OutputDir + "copy.txt": text}
}

// liar returns something else for every second task.
func liar(k *task.Task) (task.Exit, map[string]string) {
	if k.Index%2 == 0 {
		return 0, map[string]string{task.OutputStdout: "trust me\n"}
	}
	return honest(k)
}

// work makes hosts call in turn until a job has ended. between is called after
// each round.
func work(t *testing.T, c *coordinatortest.Cluster, job task.JobID, hosts []*coordinatortest.Host, between func(round int)) protocol.JobView {
	t.Helper()
	for round := range 400 {
		for _, h := range hosts {
			h.Contact(4)
		}
		if between != nil {
			between(round)
		}
		time.Sleep(100 * time.Millisecond)
		if v := c.Job(job); v.State != "running" {
			return v
		}
	}
	t.Fatalf("the job did not end: %+v", c.Job(job))
	return protocol.JobView{}
}

// wantRoot is the root of a level whose tasks were all computed honestly.
func wantRoot(level uint8, tasks uint64, args func(i uint64) []string, inputs int) task.Digest {
	var tree task.Tree
	for i := range tasks {
		_, outputs := honest(&task.Task{Level: level, Index: i, Args: args(i), Inputs: make([]task.InputRange, inputs)})
		var list task.OutputList
		for name, text := range outputs {
			list = append(list, task.OutputFile{Name: name, Size: int64(len(text)), Digest: task.Sum([]byte(text))})
		}
		list.Sort()
		tree.Add(task.Leaf(i, 0, list.Digest()))
	}
	return tree.Root()
}

// The whole path of a job, with a liar among the hosts and leaders that die.
func TestJobSurvivesALiarAndLostLeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		bad := c.NewHost(9, liar)
		hosts := []*coordinatortest.Host{bad}
		for i := range 4 {
			hosts = append(hosts, c.NewHost(i, honest))
		}
		id := p.Submit(spec(t, 60, 2))
		var down *coordinatortest.Node
		v := work(t, c, id, hosts, func(round int) {
			switch {
			case down != nil:
				c.Start(down)
				down = nil
			case round%3 == 1:
				down = c.LeaderNode()
				c.Kill(down)
			}
		})
		if down != nil {
			c.Start(down)
		}
		want := wantRoot(0, 60, func(i uint64) []string { return []string{fmt.Sprint(i)} }, 0)
		if v.State != "done" || v.ResultRoot != want {
			t.Errorf("job ended %s with root %s, want %s", v.State, v.ResultRoot.Short(), want.Short())
		}
		if lost, twice, err := c.Lost(id, hosts...); lost+twice > 0 {
			t.Errorf("%d reports lost, %d credited twice: %v", lost, twice, err)
		}
		c.Check()
		var views []protocol.HostView
		c.GetJSON(protocol.PathHosts, &views)
		for _, h := range views {
			if isLiar := h.Host == bad.Public(); isLiar != (h.Wrong > 0) {
				t.Errorf("%s has %d wrong results", h.Name, h.Wrong)
			}
		}
	})
}

// R2: every exchange is sent again through each node, and the leader dies in
// between.
func TestR2ExchangesAreRepeatedThroughOtherNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		hosts := []*coordinatortest.Host{c.NewHost(1, honest), c.NewHost(2, honest)}
		id := p.Submit(spec(t, 12, 2))
		for round := range 30 {
			for _, h := range hosts {
				e, reported := h.Prepare(3)
				first := h.Send(e)
				if first.Error != nil {
					t.Fatalf("round %d: %v", round, first.Error)
				}
				if round == 3 {
					lead := c.LeaderNode()
					c.Kill(lead)
					c.LeaderNode()
					c.Start(lead)
				}
				for node := range 3 {
					again, err := h.Try(e, node)
					if err != nil || again.Error != nil {
						continue // a node that does not know the leader yet says so
					}
					if !reflect.DeepEqual(again.Exchange.Acks, first.Exchange.Acks) || len(again.Exchange.Attempts) != len(first.Exchange.Attempts) {
						t.Fatalf("R2: first %+v, again %+v", first.Exchange, again.Exchange)
					}
				}
				h.Finish(first, reported)
			}
			time.Sleep(100 * time.Millisecond)
			if c.Job(id).State == "done" {
				break
			}
		}
		if lost, twice, err := c.Lost(id, hosts...); lost+twice > 0 || c.Job(id).State != "done" {
			t.Errorf("job %s, %d lost, %d twice: %v", c.Job(id).State, lost, twice, err)
		}
		c.Check()
	})
}

func TestReductionRunsAsATree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		hosts := []*coordinatortest.Host{c.NewHost(1, honest), c.NewHost(2, honest)}
		s := spec(t, 7, 2)
		s.Reduce = &task.Reduce{Program: s.Program, Meter: 1, Args: []string{"reduce", "{level}"}, FanIn: 3, Limits: s.Limits}
		id := p.Submit(s)
		v := work(t, c, id, hosts, nil)
		want := wantRoot(2, 1, func(uint64) []string { return []string{"reduce", "2"} }, 6)
		if v.State != "done" || len(v.Levels) != 3 || v.ReduceRoot != want {
			t.Errorf("job %+v, want root %s of the reduction", v, want.Short())
		}
		var page protocol.ResultPage
		c.GetJSON(protocol.ResultsPath(id, 2, 0, 10), &page)
		if len(page.Results) != 1 || !page.Done || len(page.Results[0].Files) != 2 {
			t.Fatalf("results of the last level: %+v", page)
		}
		got := string(c.Get(protocol.OutputPath(id, 2, 0, 1)))
		if !strings.HasPrefix(got, "level 2 task 0 args [reduce 2] inputs 6") {
			t.Errorf("the reduced output is %q", got)
		}
		c.Check()
	})
}

func TestLargeOutputsAreUploaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		large := strings.Repeat("0123456789abcdef", 10_000)
		compute := func(k *task.Task) (task.Exit, map[string]string) {
			return 0, map[string]string{task.OutputDir + "large.bin": large + fmt.Sprint(k.Index)}
		}
		hosts := []*coordinatortest.Host{c.NewHost(1, compute), c.NewHost(2, compute)}
		id := p.Submit(spec(t, 3, 2))
		if v := work(t, c, id, hosts, nil); v.State != "done" {
			t.Fatalf("job %+v", v)
		}
		if got := string(c.Get(protocol.OutputPath(id, 0, 2, 0))); got != large+"2" {
			t.Errorf("%d bytes came back", len(got))
		}
		if err := hosts[0].Upload(protocol.PathOutputs, []byte("more")); err == nil {
			t.Error("a host without tasks could upload")
		}
	})
}

// T3: before its release, nobody but the publisher sees anything of a result.
func TestT3NothingIsSeenBeforeTheRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		a := c.NewHost(1, honest)
		id := p.Submit(spec(t, 4, 2))
		a.Contact(4)
		handedOut := c.Job(id)
		a.Contact(0) // returns them
		var page protocol.ResultPage
		c.GetJSON(protocol.ResultsPath(id, 0, 0, 10), &page)
		var attempts protocol.AttemptPage
		c.GetJSON(protocol.AttemptsPath(id, 0, 0, 10), &attempts)
		if len(page.Results)+len(attempts.Attempts) != 0 {
			t.Errorf("T3: %+v, %+v", page, attempts)
		}
		if after := c.Job(id); !reflect.DeepEqual(handedOut, after) || after.Progress != nil {
			t.Errorf("T3: the view moved when results came in: %+v, then %+v", handedOut, after)
		}
		_, outputs := honest(&task.Task{Args: []string{"0"}})
		digest := task.Sum([]byte(outputs[task.OutputStdout]))
		res, err := c.Client().Get(c.Nodes[0].URL + protocol.PathBlobs + digest.String())
		if err != nil || res.StatusCode != http.StatusNotFound {
			t.Errorf("T3: an output can be read by its digest: %v, %v", res, err)
		}
	})
}

func TestAHostThatVanishesHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		gone := c.NewHost(1, nil)
		hosts := []*coordinatortest.Host{c.NewHost(2, honest), c.NewHost(3, honest)}
		s := spec(t, 8, 2)
		s.Limits.Deadline = 5_000
		id := p.Submit(s)
		gone.Contact(8)
		if gone.Holds() != 8 {
			t.Fatalf("it holds %d tasks", gone.Holds())
		}
		if v := work(t, c, id, hosts, nil); v.State != "done" {
			t.Fatalf("job %+v", v)
		}
	})
}

func TestAHostThatLostItsJournalStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 1)
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		h := c.NewHost(1, honest)
		id := p.Submit(spec(t, 3, 1))
		h.Contact(3)
		h.Forget()
		h.Contact(3) // its tasks wait again at once
		if v := work(t, c, id, []*coordinatortest.Host{h}, nil); v.State != "done" || v.Levels[0].Failed != 0 {
			t.Errorf("job %+v", v)
		}
	})
}

func TestBadReportsAreRefusedOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 1)
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		h := c.NewHost(1, nil)
		id := p.Submit(spec(t, 20, 1))
		reply := h.Contact(9)
		list := task.OutputList{{Name: "stdout", Size: 2, Digest: task.Sum([]byte("ok"))}}
		good := func(i int) protocol.Report {
			a := reply.Attempts[i]
			return protocol.Report{Attempt: a.ID, Task: a.Sum, Work: 1, Outputs: list.Encode(), Inline: [][]byte{[]byte("ok")}}
		}
		var reports []protocol.Report
		var want []protocol.Ack
		add := func(ack protocol.Ack, change func(r *protocol.Report)) {
			r := good(len(reports))
			change(&r)
			reports, want = append(reports, r), append(want, ack)
		}
		add(protocol.AckAccepted, func(*protocol.Report) {})
		add(protocol.AckRefused, func(r *protocol.Report) { r.Task[0]++ })
		add(protocol.AckRefused, func(r *protocol.Report) { r.Inline[0] = []byte("no") })
		add(protocol.AckRefused, func(r *protocol.Report) { r.Inline = append(r.Inline, nil) })
		add(protocol.AckRefused, func(r *protocol.Report) { r.Outputs = []byte("garbage") })
		add(protocol.AckRefused, func(r *protocol.Report) { r.Exit = 100 })
		add(protocol.AckRefused, func(r *protocol.Report) { r.Work = 2e9 })
		add(protocol.AckRefused, func(r *protocol.Report) { r.Exit = task.ExitUnreachable })
		add(protocol.AckRefused, func(r *protocol.Report) {
			r.Inline = nil
			r.Outputs = task.OutputList{{Name: "stdout", Size: 3, Digest: task.Sum([]byte("abc"))}}.Encode()
		})
		reports = append(reports, protocol.Report{Attempt: 12345}, good(0))
		want = append(want, protocol.AckGone, protocol.AckDuplicate)
		r := h.Do(protocol.PurposeExchange, protocol.Exchange{Reports: reports, AllowAll: true})
		if !reflect.DeepEqual(r.Exchange.Acks, want) {
			t.Errorf("acknowledged %v, want %v", r.Exchange.Acks, want)
		}
		if v := c.Job(id); v.State != "running" {
			t.Errorf("job %+v", v)
		}
		c.Check()
	})
}

func TestSubmissionsAreChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 1)
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		submit := func(s *task.JobSpec) *protocol.Error {
			return p.Send(p.Envelope(protocol.PurposeSubmit, protocol.Submit{Project: p.Project, Spec: protocol.EncodeSpec(s)})).Error
		}
		publish := func(module []byte) *protocol.Error {
			if err := p.Upload(protocol.PathBlobs, module); err != nil {
				t.Fatal(err)
			}
			d := task.Sum(module)
			return p.Send(p.Envelope(protocol.PurposePublish, protocol.Publish{
				Project: p.Project, App: "x", Program: d, Meter: 1, Signature: protocol.SignVersion(p.Key, p.Project, "x", d, 1),
			})).Error
		}
		missing := spec(t, 1, 1)
		missing.Inputs = []task.Input{{Path: "data", Blob: task.Digest{1}, Size: 1}}
		wrongSize := spec(t, 1, 1)
		wrongSize.Inputs = []task.Input{{Path: "data", Blob: wrongSize.Program, Size: 1}}
		wrongPieces := spec(t, 1, 1)
		data, list := []byte("data"), task.Sum([]byte("date"))
		if err := errors.Join(p.Upload(protocol.PathBlobs, data), p.Upload(protocol.PathBlobs, list[:])); err != nil {
			t.Fatal(err)
		}
		wrongPieces.Inputs = []task.Input{{Path: "data", Blob: task.Sum(data), Size: int64(len(data)), Pieces: task.Sum(list[:])}}
		noPieces := spec(t, 1, 1)
		noPieces.Inputs = []task.Input{{Path: "data", Blob: task.Sum(data), Size: int64(len(data)), Pieces: task.Digest{1}}}
		little := spec(t, 1, 1)
		little.Limits.Memory = task.WasmPage
		for name, c := range map[string]struct {
			err  *protocol.Error
			want protocol.Code
		}{
			"an input that was not uploaded": {submit(missing), protocol.CodeMissingBlob},
			"an input of another size":       {submit(wrongSize), protocol.CodeInvalid},
			"pieces of another input":        {submit(wrongPieces), protocol.CodeInvalid},
			"pieces that were not uploaded":  {submit(noPieces), protocol.CodeMissingBlob},
			"too little memory to start":     {submit(little), protocol.CodeInvalid},
			"a program that is text":         {publish([]byte("#!/bin/sh\n")), protocol.CodeInvalid},
			"an empty program":               {publish(nil), protocol.CodeInvalid},
		} {
			if c.err == nil || c.err.Code != c.want {
				t.Errorf("%s: got %v, want code %d", name, c.err, c.want)
			} else {
				t.Logf("%s: %v", name, c.err)
			}
		}
	})
}

func TestStrangersAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		h := c.NewHost(1, honest)
		stranger := c.NewParty(77)
		if r := stranger.Send(stranger.Envelope(protocol.PurposeExchange, protocol.Exchange{})); !protocol.HasCode(r.Error, protocol.CodeUnknownKey) {
			t.Errorf("not enrolled: %+v", r.Error)
		}
		forged := protocol.Enrol{Account: p.Public(), Certificate: protocol.Certify(stranger.Key, stranger.Public())}
		if r := stranger.Send(stranger.Envelope(protocol.PurposeEnrol, forged)); !protocol.HasCode(r.Error, protocol.CodeBadSignature) {
			t.Errorf("an account that did not certify: %+v", r.Error)
		}
		e, _ := h.Prepare(1)
		e.Payload = wire.Marshal(protocol.Exchange{Want: 200, AllowAll: true})
		if r := h.Send(e); !protocol.HasCode(r.Error, protocol.CodeBadSignature) {
			t.Errorf("a changed request: %+v", r.Error)
		}
		if err := stranger.Upload(protocol.PathOutputs, []byte("x")); err == nil {
			t.Error("a stranger could upload an output")
		}
		id := p.Submit(spec(t, 1, 1))
		if r := stranger.Send(stranger.Envelope(protocol.PurposeCancel, protocol.Cancel{Job: id})); !protocol.HasCode(r.Error, protocol.CodeUnknownKey) {
			t.Errorf("cancelled somebody else's job: %+v", r.Error)
		}
		c.LeaderNode().Running().State(func(s *state.State) {
			if _, ok := s.AccountByKey(stranger.Public()); ok {
				t.Error("a refused stranger has an account")
			}
		})
	})
}
