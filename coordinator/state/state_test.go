package state_test

import (
	"reflect"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

func wantAcks(t *testing.T, got []protocol.Ack, want ...protocol.Ack) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("acknowledged %v, want %v", got, want)
	}
}

func (w *world) wantHost(k task.Key, valid, wrong uint64, pending, earned int64) {
	w.t.Helper()
	_, h, _ := w.s.HostByKey(k)
	if h.Valid != valid || h.Wrong != wrong || h.Pending != pending || h.Earned != earned {
		w.t.Errorf("%s has %d valid, %d wrong, %d pending, %d earned; want %d, %d, %d, %d",
			h.Name, h.Valid, h.Wrong, h.Pending, h.Earned, valid, wrong, pending, earned)
	}
}

func TestTwoAgreeAndALiarIsFoundOut(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.host(10), w.host(20), w.host(30)
	n := w.submit(spec(1, 2))
	stage := w.s.CurrentStage(n)

	x := w.give(a, stage, 0)
	y := w.give(b, stage, 0)
	if z := w.give(c, stage, 0); len(z) != 0 {
		t.Fatal("a third attempt was handed out before anybody disagreed")
	}
	wantAcks(t, w.report(a, result(x[0], 1)), protocol.AckAccepted)
	w.lead()
	wantAcks(t, w.report(b, result(y[0], 66)), protocol.AckAccepted)
	w.lead()
	z := w.give(c, stage, 0)
	if len(z) != 1 {
		t.Fatal("a mismatch brought no further attempt")
	}
	wantAcks(t, w.report(c, result(z[0], 1)), protocol.AckAccepted)
	w.wantHost(b, 0, 0, 0, 0)
	w.lead()

	w.wantHost(a, 1, 0, 0, 5)
	w.wantHost(b, 0, 1, 0, 0)
	w.wantHost(c, 1, 0, 0, 5)
	j, _ := w.s.Job(n)
	if j.State != state.JobDone || j.Attempts != 3 || j.Returned != 3 || j.Wrong != 1 || j.Credit != 10 {
		t.Errorf("job %+v", j)
	}
	var tree task.Tree
	tree.Add(task.Leaf(0, 0, task.Digest{1, 1}))
	if got := w.s.Stage(stage).Root; got != tree.Root() {
		t.Errorf("root %s, want %s", got.Short(), tree.Root().Short())
	}
}

// T2: attempts of one task go to different accounts.
func TestT2OneAccountOnePlace(t *testing.T) {
	w := newWorld(t)
	a, twin, b := w.host(10), w.host(11), w.host(20)
	stage := w.s.CurrentStage(w.submit(spec(2, 2)))
	w.give(a, stage, 0)
	if got := w.give(a, stage, 0); len(got) != 0 {
		t.Error("T2: the same host got a task twice")
	}
	if got := w.give(twin, stage, 0); len(got) != 0 {
		t.Error("T2: another host of the account got the task")
	}
	if got := w.give(twin, stage, 1); len(got) != 1 {
		t.Error("the account cannot compute another task")
	}
	if got := w.give(b, stage, 0, 1); len(got) != 2 {
		t.Error("another account cannot join")
	}
}

// R2: a number is carried out once, and answered the same ever after.
func TestR2NumberedRequests(t *testing.T) {
	w := newWorld(t)
	a := w.host(10)
	stage := w.s.CurrentStage(w.submit(spec(10, 1)))
	first := &state.Exchange{Request: w.request(a), Assign: []state.Assignment{{Stage: stage, Index: 0}, {Stage: stage, Index: 1}}}
	answer := w.must(first)
	before := w.s.Digest()

	again := w.apply(first)[0]
	if !again.Repeated || !reflect.DeepEqual(again.Answer, answer) {
		t.Errorf("R2: repeated: got %+v, want the first answer %+v", again, answer)
	}
	other := *first
	other.Request.Sum[0]++
	if r := w.apply(&other)[0]; !protocol.HasCode(r.Answer.Error, protocol.CodeReusedNumber) {
		t.Errorf("R2: the same number with another body: %+v", r)
	}
	old := *first
	old.Request.Number--
	if r := w.apply(&old)[0]; !protocol.HasCode(r.Answer.Error, protocol.CodeAlreadyDone) {
		t.Errorf("R2: an older number: %+v", r)
	}
	if w.s.Digest() != before {
		t.Error("R2: repetitions changed the state")
	}
	if got := w.copied().Apply(w.now, []state.Command{first})[0]; !got.Repeated || !reflect.DeepEqual(got.Answer, answer) {
		t.Errorf("R2: after a restore: got %+v, want %+v", got, answer)
	}
}

// R2: a session that was forgotten cannot be opened again by an old request.
func TestR2ForgottenSessionStaysShut(t *testing.T) {
	w := newWorld(t)
	a := w.host(10)
	opening := w.request(a)
	opening.Session = 99
	opening.Number = 1
	w.must(&state.Exchange{Request: opening})
	w.now += state.SessionKept + 1
	w.apply(&state.ForgetSessions{Before: w.now})
	r := w.apply(&state.Exchange{Request: opening})[0]
	if !protocol.HasCode(r.Answer.Error, protocol.CodeSession) {
		t.Errorf("R2: replayed after 30 days: %+v", r)
	}
	fresh := opening
	fresh.Opened = w.s.Cluster().Now
	w.must(&state.Exchange{Request: fresh})
	fresh.Session, fresh.Opened = 5, w.s.Cluster().Now+state.SessionOpenWindow+1
	if r := w.apply(&state.Exchange{Request: fresh})[0]; !protocol.HasCode(r.Answer.Error, protocol.CodeSession) {
		t.Errorf("R2: opened in the future: %+v", r)
	}
}

// R3: which place a new session takes must not depend on the order in which
// places became free, since a restored replica does not know it.
func TestR3RestoredReplicaTakesTheSamePlaces(t *testing.T) {
	w := newWorld(t)
	low, high, busy := w.host(10), w.host(20), w.host(30)
	forget := func(keep ...task.Key) {
		w.now += state.SessionKept
		for _, k := range keep {
			w.give(k, 0)
		}
		w.now++
		w.apply(&state.ForgetSessions{Before: w.now})
		delete(w.numbers, low) // who comes back begins again at 1
		delete(w.numbers, high)
	}
	forget(low, busy) // first the place of high is free,
	forget(busy)      // and then the lower one of low
	restored := w.copied()
	from := len(w.log)
	w.give(high, 0)
	w.give(low, 0)
	for _, b := range w.log[from:] {
		now, commands, err := state.DecodeEntry(b)
		if err != nil {
			t.Fatal(err)
		}
		restored.Apply(now, commands)
	}
	if a, b := w.s.Digest(), restored.Digest(); a != b {
		t.Errorf("R3: the restored replica has digest %s, the other %s", b.Short(), a.Short())
	}
}

// R5: cluster time never goes back, whatever an entry says.
func TestR5TimeNeverGoesBack(t *testing.T) {
	w := newWorld(t)
	was := w.s.Cluster().Now
	w.now -= 500_000
	w.host(10)
	if got := w.s.Cluster().Now; got != was {
		t.Errorf("R5: %d after %d", got, was)
	}
}

func TestDeadlineSendsTheTaskElsewhere(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.host(10), w.host(20), w.host(30)
	stage := w.s.CurrentStage(w.submit(spec(1, 2)))
	x, y := w.give(a, stage, 0), w.give(b, stage, 0)

	w.apply(&state.Expire{Attempts: append(x, y...)})
	if w.s.OpenCount(1) != 1 {
		t.Fatal("an attempt expired before its deadline")
	}
	w.now += 10_000
	if got := w.s.Expired(w.now, 10); len(got) != 2 {
		t.Fatalf("%d attempts are due, want 2", len(got))
	}
	w.apply(&state.Expire{Attempts: append(x, y...)})
	z := w.give(c, stage, 0)
	if len(z) != 1 {
		t.Fatal("the task did not go elsewhere")
	}
	// a comes late, and its place is still free: its work is not lost.
	wantAcks(t, w.report(a, result(x[0], 1)), protocol.AckAccepted)
	// b comes later still: the places are taken.
	wantAcks(t, w.report(b, result(y[0], 1)), protocol.AckGone)
	wantAcks(t, w.report(c, result(z[0], 1)), protocol.AckAccepted)
	w.lead()
	w.wantHost(a, 1, 0, 0, 5)
	w.wantHost(b, 0, 0, 0, 0) // T5: being late is no strike
	w.wantHost(c, 1, 0, 0, 5)
}

func TestAnExpiredHostMayTryAgain(t *testing.T) {
	w := newWorld(t)
	a := w.host(10)
	stage := w.s.CurrentStage(w.submit(spec(1, 1)))
	x := w.give(a, stage, 0)
	w.now += 10_000
	w.apply(&state.Expire{Attempts: x})
	y := w.give(a, stage, 0)
	if len(y) != 1 {
		t.Fatal("the only account cannot have the task again")
	}
	wantAcks(t, w.report(a, result(x[0], 1), result(y[0], 1)), protocol.AckGone, protocol.AckAccepted)
	w.lead()
	w.wantHost(a, 1, 0, 0, 5)
}

func TestAttemptsRunOutAndTheJobGoesOn(t *testing.T) {
	w := newWorld(t)
	stage := w.s.CurrentStage(w.submit(spec(2, 2)))
	for i := range byte(8) {
		h := w.host(10 * (i + 1))
		if x := w.give(h, stage, 0); len(x) == 1 {
			w.report(h, result(x[0], i))
		}
		w.lead()
	}
	a, b := w.host(91), w.host(81)
	x, y := w.give(a, stage, 1), w.give(b, stage, 1)
	w.report(a, result(x[0], 1))
	w.report(b, result(y[0], 1))
	w.lead()
	st := w.s.Stage(stage)
	if st.Failed != 1 || st.Accepted != 1 {
		t.Fatalf("%d failed, %d accepted; want one each", st.Failed, st.Accepted)
	}
	var tree task.Tree
	tree.Add(task.FailedLeaf(0))
	tree.Add(task.Leaf(1, 0, task.Digest{1, 1}))
	if st.Root != tree.Root() {
		t.Error("a failed task has another leaf than the fixed one")
	}
	k, _ := w.s.Task(stage, 0)
	if k.Fail != state.FailDisagree {
		t.Errorf("failed for reason %d", k.Fail)
	}
	w.wantHost(key(10), 0, 0, 0, 0) // nobody knows who was wrong: nobody is struck
}

func TestAttemptsThatNeverReturnRunOutToo(t *testing.T) {
	w := newWorld(t)
	a := w.host(10)
	stage := w.s.CurrentStage(w.submit(spec(1, 1)))
	for n := range 8 {
		x := w.give(a, stage, 0)
		if n >= 2 && len(x) == 0 { // it gave up twice before the deadlines: it must wait for them
			w.now += 10_000
			x = w.give(a, stage, 0)
		}
		if len(x) != 1 {
			t.Fatal("no further attempt")
		}
		wantAcks(t, w.report(a, state.Report{Attempt: x[0], Failure: protocol.FailureWall}), protocol.AckAccepted)
		w.lead()
	}
	k, _ := w.s.Task(stage, 0)
	if k.State != state.TaskFailed || k.Fail != state.FailNoResult {
		t.Errorf("after 8 failures: %+v", k)
	}
	w.wantHost(a, 0, 0, 0, 0)
}

// One account cannot end a job as failed by giving everything up at once.
func TestOneAccountCannotBurnATask(t *testing.T) {
	w := newWorld(t)
	burner, twin, honest := w.host(10), w.host(15), w.host(20)
	stage := w.s.CurrentStage(w.submit(spec(1, 1)))
	given := 0
	for range 50 {
		for _, h := range []task.Key{burner, twin} { // two hosts of one account
			x := w.give(h, stage, 0)
			given += len(x)
			w.must(&state.Exchange{Request: w.request(h), Dropped: x})
		}
		w.lead()
	}
	if given > 2 {
		t.Errorf("given to one account %d times within a deadline", given)
	}
	x := w.give(honest, stage, 0)
	if len(x) != 1 {
		t.Fatal("nothing is left for the honest one")
	}
	w.report(honest, result(x[0], 1))
	w.lead()
	if k, _ := w.s.Task(stage, 0); k.State != state.TaskAccepted {
		t.Errorf("the task ended as %+v", k)
	}
}

func TestThirdReplicaIsPaidAfterTheVerdict(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.host(10), w.host(20), w.host(30)
	stage := w.s.CurrentStage(w.submit(spec(2, 3)))
	x, y, z := w.give(a, stage, 0, 1), w.give(b, stage, 0, 1), w.give(c, stage, 0, 1)
	w.report(a, result(x[0], 1))
	w.report(b, result(y[0], 1))
	w.lead()
	k, _ := w.s.Task(stage, 0)
	if k.State != state.TaskAccepted {
		t.Fatal("2 of 3 agree, and the task is not accepted")
	}
	wantAcks(t, w.report(c, result(z[0], 9)), protocol.AckAccepted)
	w.report(a, result(x[1], 1))
	w.report(b, result(y[1], 1))
	w.lead() // releases: c's second attempt is not needed any more
	wantAcks(t, w.report(c, result(z[1], 1)), protocol.AckUnneeded)
	w.wantHost(a, 2, 0, 0, 10)
	w.wantHost(c, 0, 1, 0, 0)
}

func TestCancelledJob(t *testing.T) {
	w := newWorld(t)
	a, b := w.host(10), w.host(20)
	n := w.submit(spec(5, 1))
	stage := w.s.CurrentStage(n)
	x := w.give(a, stage, 0, 1)
	y := w.give(b, stage, 2)
	w.report(b, result(y[0], 1))
	for i, ok := w.s.Ripe(stage, 0); ok; i, ok = w.s.Ripe(stage, i+1) {
		w.apply(&state.Judge{Verdicts: []state.Verdict{w.verdict(n, stage, i)}})
	}
	w.wantHost(b, 0, 0, 5, 0)
	j, _ := w.s.Job(n)
	if r := w.apply(&state.CancelJob{Request: w.request(operator), Job: j.ID})[0]; !protocol.HasCode(r.Answer.Error, protocol.CodeNotAllowed) {
		t.Errorf("somebody else cancelled it: %+v", r)
	}
	w.must(&state.CancelJob{Request: w.request(publisher), Job: j.ID})
	w.wantHost(b, 0, 0, 5, 0)
	if got := w.must(&state.CancelJob{Request: w.request(publisher), Job: j.ID}); !got.Existed {
		t.Error("cancelled twice")
	}
	if got := w.give(b, stage, 3); len(got) != 0 {
		t.Error("a task of a cancelled job was handed out")
	}
	wantAcks(t, w.report(a, result(x[0], 1)), protocol.AckCancelled)
	w.apply(&state.Seal{Stage: stage, Sheaf: task.Digest{1}}) // it was not released
	w.wantHost(b, 0, 0, 5, 0)
	w.apply(&state.Seal{Stage: stage})
	w.wantHost(b, 0, 0, 0, 5) // work whose verdict is in is paid
	wantAcks(t, w.report(a, result(x[1], 1)), protocol.AckGone)
	w.now += 10_000
	w.apply(&state.Expire{Attempts: x})
	w.copied()
}

func TestReductionOpensLevelByLevel(t *testing.T) {
	w := newWorld(t)
	a, b := w.host(10), w.host(20)
	sp := spec(5, 2)
	sp.Reduce = &task.Reduce{Program: program, Meter: 1, FanIn: 2, Limits: sp.Limits}
	n := w.submit(sp)
	for level := range uint8(4) {
		if level > 0 {
			w.apply(&state.OpenStage{Job: n, Level: level, Index: task.Digest{level}})
			w.apply(&state.OpenStage{Job: n, Level: level, Index: task.Digest{99}}) // another leader's, late
		}
		stage := w.s.CurrentStage(n)
		st := w.s.Stage(stage)
		if st.Level != level {
			t.Fatalf("level %d is current, want %d", st.Level, level)
		}
		for i := range st.Count {
			x, y := w.give(a, stage, i), w.give(b, stage, i)
			w.report(a, result(x[0], 1))
			w.report(b, result(y[0], 1))
			w.apply(&state.OpenStage{Job: n, Level: level + 1}) // too early
		}
		w.lead()
	}
	if j, _ := w.s.Job(n); j.State != state.JobDone || len(j.Stages) != 4 {
		t.Errorf("job %+v", j)
	}
}

func TestEntitiesAndOwnership(t *testing.T) {
	w := newWorld(t)
	a := w.host(10)
	stranger := key(150)
	refused := func(code protocol.Code, c state.Command) {
		t.Helper()
		if r := w.apply(c)[0]; !protocol.HasCode(r.Answer.Error, code) {
			t.Errorf("%T: got %+v, want code %d", c, r.Answer.Error, code)
		}
	}
	refused(protocol.CodeConflict, &state.InitCluster{ID: task.ClusterID{2}})
	refused(protocol.CodeConflict, &state.Enrol{Request: w.request(a), Account: key(109)})
	refused(protocol.CodeConflict, &state.Enrol{Request: w.request(publisher), Account: key(109)})
	refused(protocol.CodeConflict, &state.CreateProject{Request: w.request(stranger), Name: "science"})
	refused(protocol.CodeInvalid, &state.CreateProject{Request: w.request(stranger), Name: "Not A Name"})
	refused(protocol.CodeNotAllowed, &state.Publish{Request: w.request(stranger), Project: "science", App: "x", Program: program})
	refused(protocol.CodeNotFound, &state.Publish{Request: w.request(publisher), Project: "none", App: "x", Program: program})
	refused(protocol.CodeUnknownKey, &state.Exchange{Request: w.request(stranger)})
	refused(protocol.CodeInvalid, &state.SubmitJob{Request: w.request(publisher), Project: "science", Spec: []byte{1}})
	refused(protocol.CodeConflict, &state.Publish{Request: w.request(publisher), Project: "science", App: "another", Program: program, Meter: 1})
	refused(protocol.CodeConflict, &state.CreateProject{Request: w.request(w.host(90)), Name: "hosts"})
	unpublished := spec(1, 1)
	unpublished.Program = task.Digest{5}
	refused(protocol.CodeNotFound, &state.SubmitJob{Request: w.request(publisher), Project: "science", Spec: protocol.EncodeSpec(unpublished)})

	refused(protocol.CodeNotAllowed, &state.SetPublishers{Request: w.request(publisher), Anyone: false})
	w.must(&state.SetPublishers{Request: w.request(operator), Listed: []task.Key{publisher, publisher}})
	refused(protocol.CodeNotAllowed, &state.CreateProject{Request: w.request(stranger), Name: "mine"})
	w.must(&state.CreateProject{Request: w.request(publisher), Name: "more"})
	if got := w.must(&state.CreateProject{Request: w.request(publisher), Name: "more"}); !got.Existed {
		t.Error("a project was made twice")
	}
	if got := w.must(&state.Publish{Request: w.request(publisher), Project: "science", App: "app", Program: program, Meter: 1}); !got.Existed {
		t.Error("a version was published twice")
	}
}

func TestLostAttemptsGoElsewhereAtOnce(t *testing.T) {
	w := newWorld(t)
	a, b := w.host(10), w.host(20)
	stage := w.s.CurrentStage(w.submit(spec(3, 1)))
	x := w.give(a, stage, 0, 1)
	w.must(&state.Exchange{Request: w.request(a), Dropped: []task.AttemptID{x[0], 12345, x[0]}})
	if got := w.give(b, stage, 0); len(got) != 1 {
		t.Error("a task that its host lost does not wait")
	}
	w.must(&state.Exchange{Request: w.request(b), Dropped: []task.AttemptID{x[1]}}) // not b's to drop
	if got := w.give(b, stage, 1); len(got) != 0 {
		t.Error("a host dropped somebody else's attempt")
	}
	wantAcks(t, w.report(b, result(x[1], 1)), protocol.AckGone)
	wantAcks(t, w.report(a, result(x[1], 1)), protocol.AckAccepted)
	wantAcks(t, w.report(a, result(x[1], 2)), protocol.AckDuplicate)
}

// A wish about the members is the operator's alone, and may be repeated; it is
// remembered which change of them a node knows of.
func TestOperatorChangesMembers(t *testing.T) {
	w := newWorld(t)
	remove := func(by task.Key, node task.NodeID) *state.Operate {
		return &state.Operate{Request: w.request(by), Action: protocol.ActionRemove, Node: node}
	}
	keep := func(node task.NodeID) *state.Operate {
		return &state.Operate{Request: w.request(operator), Action: protocol.ActionKeep, Node: node}
	}
	refused := func(code protocol.Code, c state.Command) {
		t.Helper()
		before := w.s.Cluster().Changes
		if r := w.apply(c)[0]; !protocol.HasCode(r.Answer.Error, code) || w.s.Cluster().Changes != before {
			t.Errorf("got %+v, want code %d and no change", r, code)
		}
	}
	w.must(&state.SetMember{Member: state.Member{Node: "n1", URL: "http://n1"}})
	changes := w.s.Cluster().Changes
	refused(protocol.CodeNotAllowed, remove(publisher, "n1"))
	refused(protocol.CodeInvalid, remove(operator, "n2"))
	refused(protocol.CodeInvalid, keep("n2"))
	for _, k := range []struct {
		command *state.Operate
		existed bool
		leaving bool
		changes uint64
	}{
		{keep("n1"), true, false, 0},
		{remove(operator, "n1"), false, true, 1},
		{remove(operator, "n1"), true, true, 1},
		{keep("n1"), false, false, 2},
		{&state.Operate{Request: w.request(operator), Action: protocol.ActionTransfer, Node: "n1"}, false, false, 2},
	} {
		k.command.Request = w.request(operator)
		got := w.must(k.command)
		m, _ := w.s.Member("n1")
		if got.Existed != k.existed || m.Leaving != k.leaving || w.s.Cluster().Changes-changes != k.changes {
			t.Errorf("%+v: existed %t, leaving %t, %d changes; want %t, %t, %d", k.command, got.Existed, m.Leaving, w.s.Cluster().Changes-changes, k.existed, k.leaving, k.changes)
		}
	}
	w.must(&state.SetMember{Member: state.Member{Node: "n1", Removed: true}})
	if got := w.must(remove(operator, "n1")); !got.Existed {
		t.Error("a member was removed twice")
	}
	refused(protocol.CodeConflict, keep("n1"))
}
