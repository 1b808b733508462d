package task_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/sheafgrid/sheaf/task"
)

func someOutputs() task.OutputList {
	l := task.OutputList{
		{Name: task.OutputStdout, Size: 2, Digest: task.Sum([]byte("hi"))},
		{Name: task.OutputDir + "model.bin", Size: 3, Digest: task.Sum([]byte("abc"))},
	}
	l.Sort()
	return l
}

func TestOutputListReadsWhatItWrites(t *testing.T) {
	l := someOutputs()
	got, err := task.DecodeOutputList(l.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if got.Digest() != l.Digest() || got.Size() != 5 || len(got) != 2 {
		t.Errorf("got %+v, want %+v", got, l)
	}
	const golden = "17f01290c188839999e4404702dfd4e1890141e64d23bfbec6f469516d4cc70a"
	if l.Digest().String() != golden {
		t.Errorf("digest %s, want %s: results already accepted would no longer verify", l.Digest(), golden)
	}
}

func TestOutputListRefuses(t *testing.T) {
	file := func(name string) task.OutputFile { return task.OutputFile{Name: name, Digest: task.Digest{1}} }
	for name, l := range map[string]task.OutputList{
		"out of order": {file("stdout"), file("out/a")}, "twice": {file("stdout"), file("stdout")}, "climbs": {file("out/../a")},
		"outside": {file("etc/passwd")}, "differs in case": {file("out/A"), file("out/a")}, "negative": {{Name: "stdout", Size: -1}},
		"too large": {{Name: "stdout", Size: int64(task.MaxOutput) + 1}},
	} {
		if err := l.Check(); !errors.Is(err, task.ErrBadOutput) {
			t.Errorf("%s: Check gave %v", name, err)
		}
		if _, err := task.DecodeOutputList(l.Encode()); !errors.Is(err, task.ErrBadOutput) {
			t.Errorf("%s: decoding gave %v", name, err)
		}
	}
}

func FuzzDecodeOutputList(f *testing.F) {
	f.Add(someOutputs().Encode())
	f.Add([]byte("sheaf outputs 1\n\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := task.DecodeOutputList(b)
		if err == nil && !bytes.Equal(l.Encode(), b) {
			t.Errorf("%x was accepted and is not canonical", b)
		}
	})
}

func FuzzDecodeReducePage(f *testing.F) {
	f.Add(task.ReducePage{Inputs: []task.ReduceInput{{Index: 7, Outputs: someOutputs()}}}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := task.DecodeReducePage(b)
		if err == nil && !bytes.Equal(p.Encode(), b) {
			t.Errorf("%x was accepted and is not canonical", b)
		}
	})
}
