package state

import (
	"fmt"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// State is everything that the cluster has agreed on.
//
// Numbers that name records (accounts, hosts, stages, attempts' slots, …) are
// their places in the tables; place 0 of each is never used.
type State struct {
	cluster  Cluster
	share    sharing
	members  Table[Member]
	accounts Table[Account]
	hosts    Table[Host]
	projects Table[Project]
	apps     Table[App]
	versions Table[Version]
	jobs     Table[Job]
	stages   Table[Stage]
	tasks    []*stageTables // by StageID
	attempts Table[Attempt]
	sessions Table[Session]
	overflow Table[Overflowed] // of chunks that were released without some tasks

	index index
}

// stageTables hold the records of one stage's tasks.
type stageTables struct {
	tasks  Table[Task]  // place i is task i; there are Stage.Cursor of them
	chunks Table[Chunk] // place c holds tasks c·ChunkTasks and following
}

// New returns the state before the first entry.
func New() *State {
	s := &State{}
	s.share.generation = 1
	s.shareTables()
	s.members.Append(Member{})
	s.accounts.Append(Account{})
	s.hosts.Append(Host{})
	s.projects.Append(Project{})
	s.apps.Append(App{})
	s.versions.Append(Version{})
	s.jobs.Append(Job{})
	s.stages.Append(Stage{})
	s.tasks = []*stageTables{nil}
	s.sessions.Append(Session{})
	s.overflow.Append(Overflowed{})
	s.index = newIndex()
	s.addSlots()
	return s
}

// shareTables makes all tables follow this state's generation.
func (s *State) shareTables() {
	s.members.share, s.accounts.share, s.hosts.share = &s.share, &s.share, &s.share
	s.projects.share, s.apps.share, s.versions.share = &s.share, &s.share, &s.share
	s.jobs.share, s.stages.share, s.attempts.share, s.sessions.share = &s.share, &s.share, &s.share, &s.share
	s.overflow.share = &s.share
	s.attempts.recycles = true
	for _, t := range s.tasks {
		if t != nil {
			t.tasks.share, t.chunks.share = &s.share, &s.share
		}
	}
}

// Result is what a command came to.
type Result struct {
	Answer   Answer
	Repeated bool // the request had been carried out before; nothing was changed now
}

// Apply carries out the commands of one entry, in order, and returns one
// result for each. It cannot fail: a command whose preconditions do not hold
// is answered with a refusal, which is the same on every replica.
func (s *State) Apply(now task.Millis, commands []Command) []Result {
	s.cluster.Now = max(s.cluster.Now, now)
	results := make([]Result, len(commands))
	for i, c := range commands {
		results[i] = s.apply(c)
	}
	return results
}

func (s *State) apply(c Command) Result {
	if _, first := c.(*InitCluster); !first && s.cluster.ID.IsZero() {
		return refused(protocol.Refuse(protocol.CodeConflict, "the cluster has not been initialised"))
	}
	switch c := c.(type) {
	case *InitCluster:
		return s.initCluster(c)
	case *SetMember:
		return s.setMember(c)
	case *SetPublishers:
		return s.numbered(c.Request, func() Answer { return s.setPublishers(c) })
	case *Enrol:
		return s.numbered(c.Request, func() Answer { return s.enrol(c) })
	case *CreateProject:
		return s.numbered(c.Request, func() Answer { return s.createProject(c) })
	case *Publish:
		return s.numbered(c.Request, func() Answer { return s.publish(c) })
	case *SubmitJob:
		return s.numbered(c.Request, func() Answer { return s.submitJob(c) })
	case *CancelJob:
		return s.numbered(c.Request, func() Answer { return s.cancelJob(c) })
	case *Exchange:
		return s.numbered(c.Request, func() Answer { return s.exchange(c) })
	case *Expire:
		s.expire(c)
	case *Judge:
		for _, v := range c.Verdicts {
			s.judge(v)
		}
	case *Release:
		s.release(c)
	case *Overflow:
		s.overflowChunk(c)
	case *OpenStage:
		s.openStage(c)
	case *ForgetSessions:
		s.forgetSessions(c)
	case *Seal:
		s.seal(c)
	case *RaiseVersion:
		return s.raiseVersion(c)
	case *Operate:
		return s.numbered(c.Request, func() Answer { return s.operate(c) })
	default:
		if r, ok := s.applyNext(c); ok {
			return r
		}
		panic(fmt.Sprintf("state: command %T has a kind and no transition", c))
	}
	return Result{}
}

func refused(e *protocol.Error) Result { return Result{Answer: refusal(e)} }

func refusal(e *protocol.Error) Answer { return Answer{Error: e} }
