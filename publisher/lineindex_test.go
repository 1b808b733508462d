package publisher_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/task"
)

// lineIndex is an index with its pages.
type lineIndex struct {
	*publisher.LineIndex
	pages [][]byte
}

func buildIndex(r io.Reader, perTask uint32) (lineIndex, error) {
	var x lineIndex
	var err error
	x.LineIndex, err = publisher.BuildLineIndex(context.Background(), r, perTask, func(p []byte) error {
		x.pages = append(x.pages, bytes.Clone(p))
		return nil
	})
	return x, err
}

func (x *lineIndex) page(n uint64) ([]byte, error) {
	if n >= uint64(len(x.pages)) {
		return nil, errors.New("no such page")
	}
	return x.pages[n], nil
}

// naiveIndex cuts text as a person would.
func naiveIndex(text string, perTask int) lineIndex {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	x := lineIndex{LineIndex: &publisher.LineIndex{
		Blob: task.Sum([]byte(text)), Size: int64(len(text)), PerTask: uint32(perTask), Lines: uint64(len(lines)),
	}}
	offset := 0
	for group := range slices.Chunk(lines, perTask) {
		part := strings.Join(group, "")
		if x.Tasks%task.LinesPerPage == 0 {
			x.pages = append(x.pages, nil)
		}
		last := len(x.pages) - 1
		x.pages[last] = task.AppendLineRange(x.pages[last], task.LineRange{
			Offset: uint64(offset), Length: uint64(len(part)), Digest: task.Sum([]byte(part)),
		})
		offset += len(part)
		x.Tasks++
	}
	for _, p := range x.pages {
		x.Pages = append(x.Pages, task.Sum(p))
	}
	return x
}

func sameIndex(t rapid.TB, got, want lineIndex) {
	t.Helper()
	if fmt.Sprintf("%+v", *got.LineIndex) != fmt.Sprintf("%+v", *want.LineIndex) {
		t.Fatalf("got  %+v\nwant %+v", *got.LineIndex, *want.LineIndex)
	}
	if !slices.EqualFunc(got.pages, want.pages, bytes.Equal) {
		t.Fatalf("pages differ: got %d, want %d", len(got.pages), len(want.pages))
	}
}

func TestBuildLineIndexIsTheNaiveSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"\n", "a", "bc", "\r\n", "\r", "é", "\x00", "line\n"}), 1, 60).Draw(t, "text"), "")
		perTask := rapid.IntRange(1, 7).Draw(t, "per task")
		var r io.Reader = strings.NewReader(text)
		if rapid.Bool().Draw(t, "bytewise") {
			r = iotest.OneByteReader(r)
		}
		got, err := buildIndex(r, uint32(perTask))
		if err != nil {
			t.Fatal(err)
		}
		sameIndex(t, got, naiveIndex(text, perTask))
	})
}

func TestBuildLineIndexOfManyPages(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for range 3*task.LinesPerPage + 5 {
		b.WriteString(strings.Repeat("x", random.IntN(400)) + "\n")
	}
	for _, text := range []string{b.String(), b.String() + "no newline"} {
		for _, perTask := range []int{1, 3, 100_000} {
			got, err := buildIndex(strings.NewReader(text), uint32(perTask))
			if err != nil {
				t.Fatal(err)
			}
			sameIndex(t, got, naiveIndex(text, perTask))
			if err := publisher.CheckLineIndex(t.Context(), lines(got), strings.NewReader(text), got.page); err != nil {
				t.Errorf("%d lines a task: a right index is refused: %v", perTask, err)
			}
		}
	}
}

func lines(x lineIndex) *task.Lines {
	l := x.Split("data.txt").Lines
	return &l
}

// TestLineTasksReadTheirLines joins the index with what a task makes of it.
func TestLineTasksReadTheirLines(t *testing.T) {
	const text = "one\ntwo\r\nthree\n\nfive"
	x, err := buildIndex(strings.NewReader(text), 2)
	if err != nil {
		t.Fatal(err)
	}
	spec := task.JobSpec{
		Program: task.Sum([]byte("p")), Meter: 1, Split: x.Split("data.txt"), Check: task.Check{Replicate: 1, MaxAttempts: 1},
		Limits: task.Limits{Work: 1, Memory: task.WasmPage, Wall: 1000, Deadline: 1000},
	}
	if err := spec.Validate(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"one\ntwo\r\n", "three\n\n", "five"} {
		page, _ := x.page(spec.PageOf(0, uint64(i)))
		made, err := spec.Task(task.JobID{}, 0, uint64(i), page)
		if err != nil {
			t.Fatal(err)
		}
		in := made.Inputs[0]
		if got := text[in.Offset : in.Offset+in.Length]; got != want || in.Digest != task.Sum([]byte(want)) {
			t.Errorf("task %d reads %q, want %q", i, got, want)
		}
	}
}

// zeros is a long file that takes no memory.
type zeros struct{ newlineEvery, at int64 }

func (z *zeros) Read(b []byte) (int, error) {
	clear(b)
	for i := range b {
		if z.at++; z.newlineEvery > 0 && z.at%z.newlineEvery == 0 {
			b[i] = '\n'
		}
	}
	return len(b), nil
}

func TestBuildLineIndexRefuses(t *testing.T) {
	const most = publisher.MaxLineRange
	for _, c := range []struct {
		name    string
		file    io.Reader
		perTask uint32
		want    string
	}{
		{"empty", strings.NewReader(""), 1, "it is empty"},
		{"no lines a task", strings.NewReader("a"), 0, "must be at least 1"},
		{"one endless line", &zeros{}, 1, "line 1 alone has more than 64 MiB"},
		{"a long line after others", io.MultiReader(strings.NewReader("a\nb\n"), &zeros{}), 1, "line 3 alone has more than 64 MiB"},
		{"a line that is one byte too long", io.LimitReader(&zeros{newlineEvery: most + 1}, most+1), 1, "line 1 alone"},
		{"too many lines", &zeros{newlineEvery: 1 << 20}, 100, "100 lines a task are too many: those of task 0 have more than 64 MiB"},
	} {
		_, err := buildIndex(c.file, c.perTask)
		if !errors.Is(err, publisher.ErrLines) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want ErrLines: %s", c.name, err, c.want)
		}
	}
	if _, err := buildIndex(io.LimitReader(&zeros{newlineEvery: most}, most), 1); err != nil {
		t.Errorf("a line of exactly the most bytes: got %v, want no error", err)
	}
}

func TestBuildLineIndexPassesErrorsOn(t *testing.T) {
	broken := errors.New("disk is broken")
	if _, err := buildIndex(io.MultiReader(strings.NewReader("a\n"), iotest.ErrReader(broken)), 1); !errors.Is(err, broken) {
		t.Errorf("a failing file: got %v, want its error", err)
	}
	_, err := publisher.BuildLineIndex(t.Context(), strings.NewReader("a\n"), 1, func([]byte) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("a failing page: got %v, want its error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := publisher.BuildLineIndex(ctx, &zeros{}, 1, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestCheckLineIndexFindsTampering(t *testing.T) {
	var b strings.Builder
	for i := range 2*task.LinesPerPage + 10 {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	text := b.String()
	entry := func(i int) (page, at int) { return i / task.LinesPerPage, i % task.LinesPerPage * 48 }
	type world struct {
		lines *task.Lines
		index *lineIndex
		text  string
		seal  bool // compute the list's digest anew: the liar knows what he does
	}
	for _, c := range []struct {
		name   string
		tamper func(w *world)
		want   string
	}{
		{"nothing", func(*world) {}, ""},
		{"another file of the same size", func(w *world) { w.text = strings.Replace(text, "line 7\n", "line 8\n", 1) }, "the lines of task 7 have digest"},
		{"a newline moved", func(w *world) { w.text = strings.Replace(text, "line 7\nl", "line 7l\n", 1) }, "task 7 has 7 bytes from 49 on, its lines are 8 bytes"},
		{"a byte less", func(w *world) { w.text = text[:len(text)-1] }, "task 2057 has"},
		{"a byte more", func(w *world) { w.text = text + "x" }, "the file's lines give 528"},
		{"a task too few", func(w *world) { w.lines.Tasks-- }, "make 2058 tasks of 1 lines, the job says 2057"},
		{"a page too few", func(w *world) { w.lines.Tasks = task.LinesPerPage }, "make more than the 1024 tasks"},
		{"no tasks", func(w *world) { w.lines.Tasks = 0 }, "cannot be"},
		{"more lines a task", func(w *world) { w.lines.PerTask = 2 }, "task 0 has 7 bytes from 0 on, its lines are 14 bytes"},
		{"none a task", func(w *world) { w.lines.PerTask = 0 }, "cannot be"},
		{"size", func(w *world) { w.lines.Size-- }, "the file has more than"},
		{"a larger size", func(w *world) { w.lines.Size++ }, "the job says"},
		{"digest of the file", func(w *world) { w.lines.Blob[0] ^= 1 }, "the file has digest"},
		{"digest of the list", func(w *world) { w.lines.Index[0] ^= 1 }, "the list of its pages"},
		{"an offset", func(w *world) { p, at := entry(5); w.index.pages[p][at+7]++; w.seal = true }, "task 5 has"},
		{"a length", func(w *world) { p, at := entry(5); w.index.pages[p][at+15]++; w.seal = true }, "task 5 has"},
		{"a digest", func(w *world) { p, at := entry(5); w.index.pages[p][at+16] ^= 1; w.seal = true }, "the lines of task 5"},
		{"two tasks swapped", func(w *world) {
			a := w.index.pages[0]
			first := bytes.Clone(a[:48])
			copy(a, a[48:96])
			copy(a[48:], first)
			w.seal = true
		}, "task 0 has"},
		{"an overlap", func(w *world) {
			p, at := entry(6)
			copy(w.index.pages[p][at:], w.index.pages[p][at-48:at])
			w.seal = true
		}, "task 6 has"},
		{"an entry cut off", func(w *world) { w.index.pages[0] = w.index.pages[0][:48*1000]; w.seal = true }, "it has 48000 bytes"},
		{"an empty page", func(w *world) { w.index.pages[0] = nil; w.seal = true }, "it has 0 bytes"},
		{"a missing page", func(w *world) { w.index.pages = nil }, "no such page"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, err := buildIndex(strings.NewReader(text), 1)
			if err != nil {
				t.Fatal(err)
			}
			w := world{lines: lines(x), index: &x, text: text}
			c.tamper(&w)
			if w.seal {
				var list []task.Digest
				for _, p := range x.pages {
					list = append(list, task.Sum(p))
				}
				w.lines.Index = task.Sum(task.EncodeIndex(list))
			}
			err = publisher.CheckLineIndex(t.Context(), w.lines, strings.NewReader(w.text), x.page)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

// TestCheckLineIndexFindsEveryFlippedByte changes each byte of the pages and of
// the file.
func TestCheckLineIndexFindsEveryFlippedByte(t *testing.T) {
	const text = "one\ntwo\nthree\nfour\nfive"
	x, err := buildIndex(strings.NewReader(text), 2)
	if err != nil {
		t.Fatal(err)
	}
	l := lines(x)
	for i := range x.pages[0] {
		x.pages[0][i] ^= 0x10
		if err := publisher.CheckLineIndex(t.Context(), l, strings.NewReader(text), x.page); !errors.Is(err, task.ErrBadIndex) {
			t.Errorf("byte %d of the page: got %v, want ErrBadIndex", i, err)
		}
		x.pages[0][i] ^= 0x10
	}
	for i := range len(text) {
		b := []byte(text)
		b[i] ^= 0x10
		if err := publisher.CheckLineIndex(t.Context(), l, bytes.NewReader(b), x.page); !errors.Is(err, task.ErrBadIndex) {
			t.Errorf("byte %d of the file: got %v, want ErrBadIndex", i, err)
		}
	}
}

func FuzzLineIndex(f *testing.F) {
	f.Add([]byte("one\ntwo\r\n\nfour"), uint32(2))
	f.Add([]byte("\n\n\n"), uint32(1))
	f.Fuzz(func(t *testing.T, b []byte, perTask uint32) {
		x, err := buildIndex(bytes.NewReader(b), perTask)
		if err != nil {
			if !errors.Is(err, publisher.ErrLines) {
				t.Errorf("error %v is no ErrLines", err)
			}
			return
		}
		if perTask < 1<<20 {
			sameIndex(t, x, naiveIndex(string(b), int(perTask)))
		}
		if err := publisher.CheckLineIndex(t.Context(), lines(x), bytes.NewReader(b), x.page); err != nil {
			t.Errorf("what was built is refused: %v", err)
		}
	})
}

func BenchmarkBuildLineIndex(b *testing.B) {
	text := bytes.Repeat([]byte(strings.Repeat("x", 79)+"\n"), 1<<17)
	for _, perTask := range []uint32{1, 100} {
		b.Run(fmt.Sprint(perTask), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := publisher.BuildLineIndex(b.Context(), bytes.NewReader(text), perTask, func([]byte) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
