package sandbox

import (
	"bytes"
	"errors"
	"io"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/task"
)

func someRequest() *Request {
	return &Request{
		Module: []byte("module"), Meter: 3, Args: []string{"", "two"}, Seed: math.MaxUint64,
		Inputs: []InputFile{{Path: "a/b", Size: 7}, {Path: "c"}, {Path: "d", Size: 1 << 30, inPieces: true}},
		Limits: task.Limits{Work: 1, Memory: task.MaxMemory, Output: task.MaxOutput, Wall: task.MaxDeadline},
	}
}

func someOutcome() *Outcome {
	return &Outcome{Exit: 7, Work: 5, Diagnostic: "why", Outputs: task.OutputList{{Name: "out/a", Size: 3}, {Name: "stdout", Size: 1}}}
}

var someLimits = task.Limits{Work: 5, Memory: 1 << 16, Output: 4, Wall: 1}

func TestCodecReadsWhatItWrites(t *testing.T) {
	want := someRequest()
	got, e, size, err := decodeRequest(encodeRequest(want, EngineInterpreter)[frameHead:])
	want.Module = nil
	if err != nil || e != EngineInterpreter || size != 6 || !reflect.DeepEqual(&got, want) {
		t.Errorf("%v: got %+v, want %+v", err, got, want)
	}
	o, err := decodeOutcome(encodeOutcome(someOutcome())[frameHead:], someLimits)
	if err != nil || !reflect.DeepEqual(&o, someOutcome()) {
		t.Errorf("%v: got %+v, want %+v", err, o, someOutcome())
	}
	frame := newFrame(16)[:frameHead+16]
	fillProgress(frame, Progress{CPU: time.Hour, Work: math.MaxUint64})
	if p, err := decodeProgress(frame[frameHead:]); err != nil || p.CPU != time.Hour || p.Work != math.MaxUint64 {
		t.Errorf("%v: got %+v", err, p)
	}
}

func TestFailuresKeepTheirKind(t *testing.T) {
	for _, want := range []error{ErrBadRequest, ErrBadProgram, ErrMeter, ErrEngine} {
		got, err := decodeFailure(encodeFailure(errors.Join(want, errors.New("\x1b[31mdetail")))[frameHead:])
		if err != nil || !errors.Is(got, want) || bytes.ContainsRune([]byte(got.Error()), 0x1b) {
			t.Errorf("%v became %q, %v", want, got, err)
		}
	}
	if got, err := decodeFailure(encodeFailure(io.ErrUnexpectedEOF)[frameHead:]); err != nil || !errors.Is(got, ErrEngine) {
		t.Errorf("another error became %v, %v; want ErrEngine", got, err)
	}
	long := encodeFailure(errors.New(string(make([]byte, 1<<20))))
	if len(long) > frameHead+int(maxFrame(frameFailure)) {
		t.Errorf("a frame of %d bytes", len(long))
	}
}

// What a parent sends must be read the same way, or not at all, by the child.
func FuzzRequest(f *testing.F) {
	f.Add(encodeRequest(someRequest(), EngineCompiler)[frameHead:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, e, size, err := decodeRequest(b)
		if err != nil {
			return
		}
		r.Module = make([]byte, size)
		again, e2, size2, err := decodeRequest(encodeRequest(&r, e)[frameHead:])
		r.Module = nil
		if err != nil || e2 != e || size2 != size || !reflect.DeepEqual(again, r) {
			t.Errorf("%v: %+v became %+v", err, r, again)
		}
	})
}

// Whatever a child asks for is a piece of an input that has pieces, or refused.
func FuzzNeed(f *testing.F) {
	inputs := []InputFile{{Path: "whole", Size: 9}, {Path: "pieces", Size: 3*task.PieceSize + 1, inPieces: true}, {Path: "empty", inPieces: true}}
	for _, n := range []need{{1, 3}, {1, 4}, {0, 0}, {2, 0}, {3, 0}} {
		f.Add(encodeNeed(n)[frameHead:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := decodeNeed(b, inputs)
		if err != nil {
			return
		}
		if n.input != 1 || n.piece < 0 || n.piece > 3 {
			t.Errorf("accepted %+v", n)
		}
		if again, err := decodeNeed(encodeNeed(n)[frameHead:], inputs); err != nil || again != n {
			t.Errorf("%+v became %+v, %v", n, again, err)
		}
		if frame := encodeNeed(n); len(frame) > frameHead+int(maxFrame(frameNeed)) {
			t.Errorf("a frame of %d bytes", len(frame))
		}
	})
}

// Whatever a parent sends, a child takes the one piece that it asked for, to
// where it belongs, or nothing.
func FuzzPiece(f *testing.F) {
	f.Add(framed(framePiece, []byte("piece")), true)
	f.Add(framed(framePiece, []byte("piece")), false)
	f.Add(framed(framePiece, []byte("longer piece")), true)
	f.Add(framed(frameRequest, nil), true)
	f.Fuzz(func(t *testing.T, b []byte, asked bool) {
		content := []byte("..........")
		s := newSupply(nil)
		if asked {
			s.wanted <- content[3:8]
		}
		var buffer []byte
		err := s.take(bytes.NewReader(b), &buffer)
		came := err == nil
		if came && (!asked || !bytes.Equal(content[3:8], b[frameHead:frameHead+5]) || frameKind(b[0]) != framePiece) {
			t.Errorf("took %q, asked: %v", b, asked)
		}
		if !came && string(content) != ".........." || string(content[:3])+string(content[8:]) != "....." {
			t.Errorf("%v: the content became %q", err, content)
		}
	})
}

// Whatever a child sends, the parent gets an outcome within the limits, or an
// error.
func FuzzReplies(f *testing.F) {
	whole := framed(frameProgress, make([]byte, 16))
	whole = append(whole, framed(frameOutcome, encodeOutcome(someOutcome())[frameHead:])...)
	whole = append(whole, framed(frameContent, []byte("abc"))...)
	whole = append(whole, framed(frameContent, []byte("x"))...)
	pieced := []InputFile{{Path: "whole", Size: 9}, {Path: "pieces", Size: 3*task.PieceSize + 1, inPieces: true}}
	f.Add(whole)
	f.Add(append(framed(frameNeed, encodeNeed(need{1, 3})[frameHead:]), whole...))
	f.Add(framed(frameFailure, []byte("\x02bad")))
	f.Fuzz(func(t *testing.T, b []byte) {
		q := &Request{Limits: someLimits, Inputs: pieced}
		o, err := receiveOutcome(bytes.NewReader(b), q, newFeed(q), nil)
		if err != nil {
			return
		}
		if !o.Exit.Valid() || o.Outputs.Check() != nil || uint64(o.Outputs.Size()) > someLimits.Output || len(o.Diagnostic) > maxDiagnostic ||
			o.Exit.Trap() && len(o.Outputs) > 0 || (o.Work > someLimits.Work) != (o.Exit == task.ExitWorkLimit) {
			t.Errorf("accepted %+v", o)
		}
		for i, f := range o.Outputs {
			if task.Sum(o.Contents[i]) != f.Digest || int64(len(o.Contents[i])) != f.Size {
				t.Errorf("%s does not match its contents", f.Name)
			}
		}
	})
}
