package sandbox

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/sheafgrid/sheaf/task"
)

// fields takes the payload of a frame apart. After the first thing that is
// missing, bad is set and everything else reads as zero.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) uvarint() uint64 {
	v, n := binary.Uvarint(f.b)
	if f.bad || n <= 0 {
		f.bad = true
		return 0
	}
	f.b = f.b[n:]
	return v
}

// below reads a number that must be less than or equal to most.
func (f *fields) below(most uint64) uint64 {
	v := f.uvarint()
	if v > most {
		f.bad = true
		return 0
	}
	return v
}

func (f *fields) text() string {
	n := f.below(uint64(len(f.b)))
	if f.bad || n > uint64(len(f.b)) {
		f.bad = true
		return ""
	}
	v := string(f.b[:n])
	f.b = f.b[n:]
	return v
}

// done reports whether all was there, and nothing else.
func (f *fields) done() bool { return !f.bad && len(f.b) == 0 }

func appendText(b []byte, v string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// encodeRequest makes the frame of a request: all but the bytes of the module
// and of the inputs.
func encodeRequest(r *Request, e Engine) []byte {
	b := newFrame(256)
	b = binary.AppendUvarint(b, uint64(e))
	b = binary.AppendUvarint(b, uint64(r.Meter))
	b = binary.AppendUvarint(b, r.Seed)
	for _, v := range []uint64{r.Limits.Work, r.Limits.Memory, r.Limits.Output, uint64(r.Limits.Wall)} {
		b = binary.AppendUvarint(b, v)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Module)))
	b = binary.AppendUvarint(b, uint64(len(r.Args)))
	for _, a := range r.Args {
		b = appendText(b, a)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Inputs)))
	for _, in := range r.Inputs {
		b = appendText(b, in.Path)
		b = binary.AppendUvarint(b, uint64(in.Size))
		pieces := byte(0)
		if in.pieced() {
			pieces = 1
		}
		b = append(b, pieces)
	}
	return b
}

// decodeRequest reads the payload of a request. moduleSize is how many bytes
// of the module come behind it; then come those of the inputs.
func decodeRequest(payload []byte) (r Request, e Engine, moduleSize int, err error) {
	f := &fields{b: payload}
	e = Engine(f.below(uint64(engineEnd - 1)))
	r.Meter = uint16(f.below(1<<16 - 1))
	r.Seed = f.uvarint()
	r.Limits = task.Limits{
		Work: f.uvarint(), Memory: f.uvarint(), Output: f.uvarint(), Wall: task.Millis(f.below(uint64(task.MaxDeadline))),
	}
	moduleSize = int(f.below(MaxModule))
	for range f.below(task.MaxArgs) {
		r.Args = append(r.Args, f.text())
	}
	for range f.below(MaxInputs) {
		in := InputFile{Path: f.text(), Size: int64(f.below(uint64(MaxInputBytes))), inPieces: f.below(1) == 1}
		if f.bad {
			break
		}
		r.Inputs = append(r.Inputs, in)
	}
	if !f.done() {
		return Request{}, 0, 0, fmt.Errorf("request cut short or out of range")
	}
	return r, e, moduleSize, r.check()
}

// need names a piece that the program reads: which input's, and which.
type need struct {
	input int
	piece int64
}

func encodeNeed(n need) []byte {
	b := binary.AppendUvarint(newFrame(2*binary.MaxVarintLen64), uint64(n.input))
	return binary.AppendUvarint(b, uint64(n.piece))
}

// decodeNeed reads the payload of a need, which must be of one of the inputs
// that are read in pieces.
func decodeNeed(payload []byte, inputs []InputFile) (need, error) {
	f := &fields{b: payload}
	n := need{int(f.below(MaxInputs)), int64(f.below(uint64(MaxInputBytes)))}
	switch {
	case !f.done():
		return need{}, fmt.Errorf("need cut short or out of range")
	case n.input >= len(inputs) || !inputs[n.input].pieced() || n.piece >= task.Pieces(inputs[n.input].Size):
		return need{}, fmt.Errorf("need of piece %d of input %d, which has none", n.piece, n.input)
	}
	return n, nil
}

// encodeOutcome makes the frame of an outcome, whose contents follow it.
func encodeOutcome(o *Outcome) []byte {
	b := newFrame(256 + len(o.Diagnostic))
	b = binary.AppendUvarint(b, uint64(o.Exit))
	b = binary.AppendUvarint(b, o.Work)
	b = appendText(b, o.Diagnostic)
	b = binary.AppendUvarint(b, uint64(len(o.Outputs)))
	for _, f := range o.Outputs {
		b = appendText(b, f.Name)
		b = binary.AppendUvarint(b, uint64(f.Size))
	}
	return b
}

// decodeOutcome reads the payload of an outcome and refuses what no program
// can have done within its limits. The digests are still to be computed.
func decodeOutcome(payload []byte, l task.Limits) (Outcome, error) {
	f := &fields{b: payload}
	o := Outcome{Exit: task.Exit(f.below(1<<16 - 1)), Work: f.uvarint(), Diagnostic: f.text()}
	for range f.below(task.MaxOutputFiles + 2) {
		out := task.OutputFile{Name: f.text(), Size: int64(f.below(task.MaxOutput))}
		if f.bad {
			break
		}
		o.Outputs = append(o.Outputs, out)
	}
	switch {
	case !f.done():
		return Outcome{}, fmt.Errorf("outcome cut short or out of range")
	case !o.Exit.Valid():
		return Outcome{}, fmt.Errorf("exit %d does not exist", o.Exit)
	case o.Exit.Trap() && len(o.Outputs) > 0:
		return Outcome{}, fmt.Errorf("%d outputs after a trap", len(o.Outputs))
	case (o.Work > l.Work) != (o.Exit == task.ExitWorkLimit):
		return Outcome{}, fmt.Errorf("%s with %d instructions of %d", o.Exit, o.Work, l.Work)
	case len(o.Diagnostic) > maxDiagnostic:
		return Outcome{}, fmt.Errorf("%d bytes of diagnostics", len(o.Diagnostic))
	}
	if err := o.Outputs.Check(); err != nil {
		return Outcome{}, err
	}
	if n := o.Outputs.Size(); uint64(n) > l.Output {
		return Outcome{}, fmt.Errorf("%d bytes of output, at most %d are allowed", n, l.Output)
	}
	o.Diagnostic = cleanText(o.Diagnostic)
	return o, nil
}

// fillProgress writes a progress frame over b, which has room for it.
func fillProgress(b []byte, p Progress) {
	binary.BigEndian.PutUint64(b[frameHead:], uint64(p.CPU))
	binary.BigEndian.PutUint64(b[frameHead+8:], p.Work)
}

func decodeProgress(payload []byte) (Progress, error) {
	if len(payload) != 16 {
		return Progress{}, fmt.Errorf("progress of %d bytes", len(payload))
	}
	p := Progress{CPU: time.Duration(binary.BigEndian.Uint64(payload)), Work: binary.BigEndian.Uint64(payload[8:])}
	if p.CPU < 0 {
		return Progress{}, fmt.Errorf("negative processor time")
	}
	return p, nil
}
