package task

import (
	"errors"
	"fmt"
	"strings"
)

// ErrBadJob is wrapped by every refusal of a job specification. The text says
// which field and what would be accepted.
var ErrBadJob = errors.New("job cannot be accepted")

// Bounds of a job. They are generous for science and small enough that one
// job's specification always fits into one log entry.
const (
	MaxTasks      = 1_000_000_000 // tasks of one job
	MaxLineTasks  = 1 << 26       // tasks of a job split by lines: its index is a blob
	MaxReplicate  = 15            // hosts asked for one task
	MaxAttempts   = 100           // attempts at one task before it ends failed
	MaxArgs       = 256           // arguments of a program
	MaxArgBytes   = 32 << 10      // bytes of all arguments together, after placeholders
	MaxInputs     = 64            // files that every task sees
	MaxAxes       = 16            // parameters of a grid
	MaxAxisValues = 4096          // values of one parameter
	MaxGridBytes  = 64 << 10      // bytes of all values together
	MaxFanIn      = 4096          // outputs that one task of a reduction reads
	MaxNameBytes  = 200           // a job's name
	MaxInputSize  = int64(1) << 40
	WasmPage      = 64 << 10                      // bytes; memory limits are multiples of it
	MaxMemory     = uint64(4) << 30               // bytes of a program's memory: 32-bit WebAssembly has no more
	MaxWork       = uint64(1) << 60               // counted instructions of one task
	MaxOutput     = uint64(1) << 30               // bytes of one task's outputs
	MinDeadline   = Millis(1_000)                 // shortest deadline of an attempt
	MaxDeadline   = Millis(30 * 24 * 3600 * 1000) // longest: 30 days
)

// JobSpec is one submitted workload. It is in the log as it was submitted and
// never changes; everything about each of its tasks follows from it (and, for
// a split by lines, from an index that it names).
type JobSpec struct {
	Name    string   `msgpack:"n"`           // for people
	Program Digest   `msgpack:"p"`           // the WebAssembly module, as its publisher signed it
	Meter   uint16   `msgpack:"m"`           // version of the function that counts work
	Args    []string `msgpack:"a,omitempty"` // with {placeholders}
	Inputs  []Input  `msgpack:"i,omitempty"` // files that every task finds under /in
	Split   Split    `msgpack:"s"`           // how the job becomes tasks
	Check   Check    `msgpack:"c"`           // how results are checked
	Limits  Limits   `msgpack:"l"`           // of each task
	Seed    uint64   `msgpack:"e"`           // from which each task's own seed is made
	Reduce  *Reduce  `msgpack:"r,omitempty"` // what is done with the accepted outputs
	Collect Collect  `msgpack:"o,omitempty"` // how a fetch lays the outputs out
}

// Input is a file that every task of a job finds at /in/Path.
type Input struct {
	Path   string `msgpack:"p"`
	Blob   Digest `msgpack:"b"`
	Size   int64  `msgpack:"z"`
	Pieces Digest `msgpack:"c,omitempty"` // of its PieceList, which is a blob; zero: tasks fetch it whole
}

// Check says how results are checked: each task is computed by Replicate
// disjoint hosts and accepted when more than half of that number agree.
type Check struct {
	Replicate   uint8 `msgpack:"r"`
	MaxAttempts uint8 `msgpack:"x"` // attempts at a task after which it ends failed
}

// Quorum is how many equal results accept a task: 1 of 1, 2 of 2, 2 of 3.
func (c Check) Quorum() int { return int(c.Replicate)/2 + 1 }

// Limits bound one task. Work and Memory stop it at the same point on every
// machine; Wall and Deadline only end an attempt.
type Limits struct {
	Work     uint64 `msgpack:"w"` // counted instructions
	Memory   uint64 `msgpack:"m"` // bytes, a multiple of WasmPage
	Output   uint64 `msgpack:"o"` // bytes of standard output and files together
	Wall     Millis `msgpack:"t"` // time one attempt may run
	Deadline Millis `msgpack:"d"` // time from assignment until the task may go elsewhere
}

// Reduce is a second program, run as a tree over the accepted outputs: each of
// its tasks reads up to FanIn outputs of the level below, until one is left.
type Reduce struct {
	Program Digest   `msgpack:"p"`
	Meter   uint16   `msgpack:"m"`
	Args    []string `msgpack:"a,omitempty"`
	FanIn   uint32   `msgpack:"f"`
	Limits  Limits   `msgpack:"l"`
}

// Collect says how fetched outputs are laid out.
type Collect string

// The ways to lay out outputs. The zero value means CollectFiles.
const (
	CollectFiles  Collect = "files"  // one folder a task
	CollectConcat Collect = "concat" // standard outputs one after the other, in task order
)

// Validate reports the first thing wrong with a specification, as a whole
// sentence for its author. A specification that passes can be split: no task
// of it fails to be made.
func (s *JobSpec) Validate() error {
	switch {
	case len(s.Name) > MaxNameBytes || !printable(s.Name):
		return refuse("name: at most %d bytes of printable text", MaxNameBytes)
	case s.Program.IsZero():
		return refuse("program: none is named")
	case len(s.Inputs) > MaxInputs:
		return refuse("inputs: %d files, at most %d are allowed; pack them into one", len(s.Inputs), MaxInputs)
	case s.Collect != "" && s.Collect != CollectFiles && s.Collect != CollectConcat:
		return refuse("collect: %q is neither %q nor %q", clip(string(s.Collect)), CollectFiles, CollectConcat)
	}
	if err := s.Split.validate(); err != nil {
		return err
	}
	if err := s.validateInputs(); err != nil {
		return err
	}
	if err := s.Check.validate(); err != nil {
		return err
	}
	if err := s.Limits.validate("limits"); err != nil {
		return err
	}
	if err := validateArgs("args", s.Args, s.Split.placeholders()); err != nil {
		return err
	}
	return s.Reduce.validate()
}

func (s *JobSpec) validateInputs() error {
	var seen []string
	if s.Split.Kind == SplitLines {
		seen = append(seen, s.Split.Lines.Path)
	}
	for i, in := range s.Inputs {
		if err := CheckPath(in.Path); err != nil {
			return refuse("inputs[%d]: %v", i, err)
		}
		for _, other := range seen {
			if strings.EqualFold(other, in.Path) {
				return refuse("inputs[%d]: the path %q is used twice", i, in.Path)
			}
			if folderOf(other, in.Path) {
				return refuse("inputs[%d]: the path %q cannot stand beside %q", i, in.Path, other)
			}
		}
		if in.Size < 0 || in.Size > MaxInputSize {
			return refuse("inputs[%d] %q: %d bytes, allowed are 0 to %d", i, in.Path, in.Size, MaxInputSize)
		}
		if in.Blob.IsZero() {
			return refuse("inputs[%d] %q: no digest", i, in.Path)
		}
		if !in.Pieces.IsZero() && in.Size == 0 {
			return refuse("inputs[%d] %q: it is empty, and has no pieces to list", i, in.Path)
		}
		seen = append(seen, in.Path)
	}
	return nil
}

func (c Check) validate() error {
	if c.Replicate < 1 || c.Replicate > MaxReplicate {
		return refuse("check.replicate: %d, allowed are 1 to %d", c.Replicate, MaxReplicate)
	}
	if c.MaxAttempts < c.Replicate || c.MaxAttempts > MaxAttempts {
		return refuse("check.max_attempts: %d, allowed are %d (replicate) to %d", c.MaxAttempts, c.Replicate, MaxAttempts)
	}
	return nil
}

func (l Limits) validate(field string) error {
	switch {
	case l.Work == 0 || l.Work > MaxWork:
		return refuse("%s.work: %d instructions, allowed are 1 to %d", field, l.Work, MaxWork)
	case l.Memory == 0 || l.Memory > MaxMemory || l.Memory%WasmPage != 0:
		return refuse("%s.memory: %d bytes, allowed are multiples of 64 KiB up to 4 GiB", field, l.Memory)
	case l.Output > MaxOutput:
		return refuse("%s.output: %d bytes, at most %d are allowed", field, l.Output, MaxOutput)
	case l.Wall < MinDeadline || l.Wall > MaxDeadline:
		return refuse("%s.wall: %d ms, allowed are 1 s to 30 days", field, l.Wall)
	case l.Deadline < MinDeadline || l.Deadline > MaxDeadline:
		return refuse("%s.deadline: %d ms, allowed are 1 s to 30 days", field, l.Deadline)
	}
	return nil
}

func (r *Reduce) validate() error {
	if r == nil {
		return nil
	}
	if r.Program.IsZero() {
		return refuse("reduce.program: none is named")
	}
	if r.FanIn < 2 || r.FanIn > MaxFanIn {
		return refuse("reduce.fan_in: %d, allowed are 2 to %d", r.FanIn, MaxFanIn)
	}
	if err := r.Limits.validate("reduce.limits"); err != nil {
		return err
	}
	return validateArgs("reduce.args", r.Args, []placeholder{{"index", numberWidth}, {"level", numberWidth}})
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBadJob, fmt.Sprintf(format, args...))
}
