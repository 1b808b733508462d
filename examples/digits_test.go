package examples_test

import (
	"encoding/binary"
	"io/fs"
	"maps"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sheafgrid/sheaf/examples"
	"github.com/tetratelabs/wazero"
)

const (
	train = "digits/train.wasm"
	rank  = "digits/rank.wasm"

	heading = "hidden,rate,decay,seed,train_accuracy,test_accuracy,loss\n"
	best    = "48,0.1,0.0001,1,0.9976,0.9870,0.043325\n" // of the whole job, as README.md has it
)

// images is /in as a training task finds it.
func images(t testing.TB) fs.FS {
	t.Helper()
	csv, err := fs.ReadFile(examples.Files(), "digits/digits.csv")
	if err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{"digits.csv": {Data: csv}}
}

// modelSize is the size of a network's file: a header of 24 bytes and its weights.
func modelSize(hidden int) int { return 24 + 4*(64*hidden+hidden+10*hidden+10) }

func TestTrainLearns(t *testing.T) {
	e := newEngine(t, wazero.NewRuntimeConfig())
	for _, c := range []struct {
		args     []string
		accuracy float64 // at least, on the test images
	}{
		{[]string{"16", "0.05", "0.0001", "1"}, 0.96},
		{[]string{"48", "0.1", "0.0001", "1"}, 0.98},
	} {
		r := e.mustRun(t, train, images(t), c.args...)
		fields := strings.Split(strings.TrimSuffix(r.stdout, "\n"), ",")
		if len(fields) != 7 {
			t.Fatalf("got %q, want one line of 7 fields", r.stdout)
		}
		if got, want := strings.Join(fields[:4], " "), strings.Join(c.args, " "); got != want {
			t.Errorf("the line begins with %q, want the arguments %q", got, want)
		}
		if got, err := strconv.ParseFloat(fields[5], 64); err != nil || got < c.accuracy || got > 1 {
			t.Errorf("%q: test accuracy %q, want at least %v", c.args, fields[5], c.accuracy)
		}
		hidden, _ := strconv.Atoi(c.args[0])
		if got, want := len(r.files["model.bin"]), modelSize(hidden); got != want || len(r.files) != 1 {
			t.Errorf("%d files, model.bin of %d bytes, want only that with %d", len(r.files), got, want)
		}
		if c.args[0] == "48" && r.stdout != best {
			t.Errorf("got %q, want %q on every machine", r.stdout, best)
		}
	}
}

func TestSeedAndEpochsMatter(t *testing.T) {
	e := newEngine(t, wazero.NewRuntimeConfig())
	seen := map[string]string{}
	for _, args := range []string{"16 0.05 0 1 1", "16 0.05 0 2 1", "16 0.05 0 1 2", "16 0.05 0 18446744073709551615 1", "32 0.05 0 1 1"} {
		r := e.mustRun(t, train, images(t), strings.Fields(args)...)
		if before, ok := seen[r.files["model.bin"]]; ok {
			t.Errorf("%q and %q gave the same network", before, args)
		}
		seen[r.files["model.bin"]] = args
	}
}

// TestSameOnBothEngines compares wazero's compiler with its interpreter, which
// share no code that computes.
func TestSameOnBothEngines(t *testing.T) {
	compiler, interpreter := newEngine(t, wazero.NewRuntimeConfig()), newEngine(t, wazero.NewRuntimeConfigInterpreter())
	for _, c := range []struct {
		program string
		in      fs.FS
		args    string
	}{
		{train, images(t), "16 0.1 0.001 7 1"},
		{count, fstest.MapFS{}, "900000 1000000"},
		{tally, images(t), ""},
		{means, level(0, compiler.mustRun(t, tally, images(t))), ""},
	} {
		a := compiler.mustRun(t, c.program, c.in, strings.Fields(c.args)...)
		b := interpreter.mustRun(t, c.program, c.in, strings.Fields(c.args)...)
		if a.stdout != b.stdout || !maps.Equal(a.files, b.files) {
			t.Errorf("%s %s: compiler %q, interpreter %q; want the same, files included", c.program, c.args, a.stdout, b.stdout)
		}
	}
}

// TestRank ranks three networks at once, and again over two levels.
func TestRank(t *testing.T) {
	e := newEngine(t, wazero.NewRuntimeConfig())
	var tasks []result
	for _, args := range []string{"16 0.05 0 1 1", "32 0.05 0.001 1 4", "16 0.05 0 2 1"} {
		tasks = append(tasks, e.mustRun(t, train, images(t), strings.Fields(args)...))
	}
	if a, b := tasks[0].stdout, tasks[1].stdout; strings.Split(a, ",")[5] >= strings.Split(b, ",")[5] {
		t.Fatalf("want the second network to be better, got %q and %q", a, b)
	}
	all := e.mustRun(t, rank, level(5, tasks...))
	if !strings.HasPrefix(all.stdout, heading+tasks[1].stdout) || strings.Count(all.stdout, "\n") != 4 {
		t.Errorf("got\n%swant the heading and three lines, first %q", all.stdout, tasks[1].stdout)
	}
	if len(all.files) != 1 || all.files["best-model.bin"] != tasks[1].files["model.bin"] {
		t.Error("best-model.bin is not the network of the best line")
	}

	// However the tasks are grouped, the second level says the same.
	for _, cut := range []int{1, 2} {
		left := e.mustRun(t, rank, level(0, tasks[:cut]...))
		right := e.mustRun(t, rank, level(cut, tasks[cut:]...))
		got := e.mustRun(t, rank, level(0, left, right))
		if got.stdout != all.stdout || got.files["best-model.bin"] != all.files["best-model.bin"] {
			t.Errorf("two levels, cut at %d: got\n%swant\n%sand the same network", cut, got.stdout, all.stdout)
		}
	}
}

// TestRankOrder gives rank lines that differ in one column each.
func TestRankOrder(t *testing.T) {
	want := []string{
		"16,0.05,0.001,1,0.9900,0.9800,0.500000\n", // highest test accuracy, though the loss is worst
		"32,0.05,0.001,1,0.9900,0.9700,0.100000\n", // then the lowest loss
		"16,0.2,0.001,1,0.9900,0.9700,0.200000\n",  // then numbers from the left: 16 before 112
		"112,0.05,0.001,1,0.9900,0.9700,0.200000\n",
		"112,0.1,0.001,1,0.9900,0.9700,0.200000\n",
		"112,0.1,0.01,1,0.9900,0.9700,0.200000\n",
		"112,0.1,0.01,9,0.9900,0.9700,0.200000\n",
		"112,0.1,0.01,10,0.9900,0.9700,0.200000\n",
		"112,0.10,0.01,10,0.9900,0.9700,0.200000\n", // equal as a number: then as it is written
	}
	e := newEngine(t, wazero.NewRuntimeConfig())
	var tasks []result
	for i := range want {
		line := want[(i*4+2)%len(want)] // 4 and 9 have no common divisor: every line once
		hidden, _ := strconv.Atoi(line[:strings.Index(line, ",")])
		tasks = append(tasks, result{stdout: line, files: map[string]string{"model.bin": model(hidden)}})
	}
	got := e.mustRun(t, rank, level(0, tasks...))
	if want := heading + strings.Join(want, ""); got.stdout != want {
		t.Errorf("got\n%swant\n%s", got.stdout, want)
	}
}

// model is the file of a network whose weights are zero.
func model(hidden int) string {
	size := modelSize(hidden)
	header := []byte("digits1\n")
	for _, n := range []int{64, hidden, 10, (size - 24) / 4} {
		header = binary.LittleEndian.AppendUint32(header, uint32(n))
	}
	return string(header) + strings.Repeat("\x00", size-len(header))
}

func TestDigitsComplain(t *testing.T) {
	line := strings.Repeat("0,", 64) + "3\n"
	csv := func(text string) fs.FS { return fstest.MapFS{"digits.csv": {Data: []byte(text)}} }
	good := []string{"16", "0.05", "0.001", "1", "1"}
	with := func(i int, arg string) []string {
		args := append([]string(nil), good...)
		args[i] = arg
		return args
	}
	said := func(stdout string, files map[string]string) fs.FS {
		return level(0, result{stdout: stdout, files: files})
	}
	row := "16,0.05,0.001,1,0.9900,0.9800,0.500000\n"
	none := fstest.MapFS{}

	e := newEngine(t, wazero.NewRuntimeConfig())
	for _, c := range []complaint{
		{"no arguments", train, none, nil, 2, "usage: train"},
		{"six arguments", train, none, append(good[:5:5], "1"), 2, "usage: train"},
		{"hidden zero", train, none, with(0, "0"), 2, `HIDDEN is "0"`},
		{"hidden uneven", train, none, with(0, "17"), 2, "want a multiple of 16"},
		{"hidden too large", train, none, with(0, "272"), 2, "at most 256"},
		{"rate zero", train, none, with(1, "0.0"), 2, `RATE is "0.0"`},
		{"rate negative", train, none, with(1, "-0.1"), 2, `RATE is "-0.1"`},
		{"rate not a number", train, none, with(1, "nan"), 2, `RATE is "nan"`},
		{"rate infinite", train, none, with(1, "inf"), 2, `RATE is "inf"`},
		{"rate with exponent", train, none, with(1, "1e-3"), 2, `RATE is "1e-3"`},
		{"rate too long", train, none, with(1, strings.Repeat("9", 5000)), 2, "RATE"},
		{"rate of two points", train, none, with(1, "0.0.1"), 2, "RATE"},
		{"rate of one point", train, none, with(1, "."), 2, "RATE"},
		{"decay above one", train, none, with(2, "1.01"), 2, `DECAY is "1.01"`},
		{"seed beyond 64 bits", train, none, with(3, "18446744073709551616"), 2, "SEED"},
		{"no epochs", train, none, with(4, "0"), 2, `EPOCHS is "0"`},
		{"no images", train, none, good, 3, "/in/digits.csv: cannot be opened"},
		{"empty file", train, csv(""), good, 3, "0 images are too few"},
		{"two images", train, csv(line + line), good, 3, "2 images are too few"},
		{"half a line", train, csv(line + line[:40]), good, 3, "line 2"},
		{"a field too many", train, csv("1," + line), good, 3, "line 1"},
		{"too dark", train, csv("17" + line[1:]), good, 3, "line 1"},
		{"not a digit", train, csv(strings.Repeat("0,", 64) + "10\n"), good, 3, "line 1"},
		{"not text", train, csv(line + "\x00" + line), good, 3, "zero byte"},
		{"too large a file", train, csv(strings.Repeat(line, 40_000)), good, 3, "larger than 4194304 bytes"},
		{"diverges", train, images(t), []string{"16", "10", "1", "1", "1"}, 6, "RATE 10 is too large"},

		{"rank with arguments", rank, said(row, nil), []string{"x"}, 2, "usage: rank"},
		{"no inputs", rank, none, nil, 3, "no inputs"},
		{"no results", rank, said(heading, nil), nil, 3, "holds no results"},
		{"not a result", rank, said("hello\n", nil), nil, 3, "line 1"},
		{"a second heading", rank, said(heading+heading, nil), nil, 3, "line 2"},
		{"accuracy above one", rank, said("16,0.05,0.001,1,0.99,1.01,0.5\n", nil), nil, 3, "line 1"},
		{"loss not a number", rank, said("16,0.05,0.001,1,0.99,0.98,nan\n", nil), nil, 3, "line 1"},
		{"no network", rank, said(row, nil), nil, 3, "/out/model.bin: cannot be opened"},
		{"empty network", rank, said(row, map[string]string{"model.bin": ""}), nil, 3, "0 bytes are too few"},
		{"another file", rank, said(row, map[string]string{"model.bin": strings.Repeat("x", 100)}), nil, 3, "is not a network"},
		{"another size", rank, said(row, map[string]string{"model.bin": model(32)}), nil, 3, "with 16 hidden units"},
		{"network cut short", rank, said(row, map[string]string{"model.bin": model(16)[:999]}), nil, 3, "with 16 hidden units"},
		{"too large a network", rank, said(row, map[string]string{"model.bin": strings.Repeat("x", 100_000)}), nil, 3, "larger than"},
	} {
		t.Run(c.name, func(t *testing.T) { c.check(t, e) })
	}
}
