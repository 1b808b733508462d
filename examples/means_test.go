package examples_test

import (
	"fmt"
	"io/fs"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sheafgrid/sheaf/examples"
	"github.com/tetratelabs/wazero"
)

const (
	tally = "means/tally.wasm"
	means = "means/means.wasm"

	meansPages = 512 // the memory limit in means/job.yaml: 32 MiB
)

// imageSums are the sums of one digit's images.
type imageSums struct {
	count  int64
	pixels [64]int64
}

// form is the sums as tally and means print them.
func form(sums [10]imageSums) string {
	var b strings.Builder
	for digit, s := range sums {
		fmt.Fprintf(&b, "%d,%d", digit, s.count)
		for _, p := range s.pixels {
			fmt.Fprintf(&b, ",%d", p)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// sumImages adds up images as digits.csv holds them.
func sumImages(t *testing.T, lines []string) (sums [10]imageSums) {
	t.Helper()
	for _, line := range lines {
		var values []int64
		for field := range strings.SplitSeq(strings.TrimSpace(line), ",") {
			v, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, v)
		}
		s := &sums[values[64]]
		s.count++
		for i, v := range values[:64] {
			s.pixels[i] += v
		}
	}
	return sums
}

// image is a line of the data: pixels as given, blank from there on, and a digit.
func image(digit int, pixels ...int) string {
	var b strings.Builder
	for i := range 64 {
		p := 0
		if i < len(pixels) {
			p = pixels[i]
		}
		fmt.Fprintf(&b, "%d,", p)
	}
	return b.String() + strconv.Itoa(digit)
}

// lines is /in as a task finds it to which these lines fell.
func lines(text string) fs.FS { return fstest.MapFS{"digits.csv": {Data: []byte(text)}} }

// TestThreeImages follows images that can be added up by hand from the data to
// the drawing.
func TestThreeImages(t *testing.T) {
	e := newEngineWithin(t, wazero.NewRuntimeConfig(), meansPages)
	zeros := strings.Repeat(",0", 61) + "\n"
	sums := "0,1,1,2,3" + zeros + // one image
		"1,0,0,0,0" + zeros +
		"2,0,0,0,0" + zeros +
		"3,0,0,0,0" + zeros +
		"4,0,0,0,0" + zeros +
		"5,0,0,0,0" + zeros +
		"6,0,0,0,0" + zeros +
		"7,2,31,7,0" + zeros + // 15 + 16, 0 + 7
		"8,0,0,0,0" + zeros +
		"9,0,0,0,0" + zeros
	data := image(7, 15) + "\r\n" + image(0, 1, 2, 3) + "\n" + image(7, 16, 7) // three ways to end a line
	task := e.mustRun(t, tally, lines(data))
	if task.stdout != sums || len(task.files) != 0 {
		t.Errorf("tally: got %d files and\n%swant none and\n%s", len(task.files), task.stdout, sums)
	}

	r := e.mustRun(t, means, level(17, task))
	if r.stdout != sums {
		t.Errorf("means: got\n%swant\n%s", r.stdout, sums)
	}
	blank := strings.Repeat(",0.000", 61) + "\n"
	if want := "0,1.000,2.000,3.000" + blank + "7,15.500,3.500,0.000" + blank; r.files["means.csv"] != want {
		t.Errorf("means.csv: got\n%swant\n%s", r.files["means.csv"], want)
	}
	// Of nine steps to full ink: 1/16 is 0.6 and 2/16 is 1.1, one step each; 3/16
	// is 1.7, two steps; 15.5/16 is 8.7, nine; and 3.5/16 is 1.97, two.
	want := `3 images: how many of each digit, and their mean, from blank to full ink: " .:-=+*#%@"

0: 1               1: 0               2: 0               3: 0               4: 0
....::
` + strings.Repeat("\n", 8) + `5: 0               6: 0               7: 2               8: 0               9: 0
                                      @@::
` + strings.Repeat("\n", 7)
	if r.files["means.txt"] != want {
		t.Errorf("means.txt: got\n%swant\n%s", r.files["means.txt"], want)
	}
	if got := len(r.files); got != 2 {
		t.Errorf("got %d files, want means.csv and means.txt", got)
	}
}

// TestMeansOfAllImages is the whole job: 18 tasks of 100 lines, three groups of
// eight, and a group of those three; against sums made here.
func TestMeansOfAllImages(t *testing.T) {
	csv, err := fs.ReadFile(examples.Files(), "digits/digits.csv")
	if err != nil {
		t.Fatal(err)
	}
	all := strings.SplitAfter(strings.TrimSuffix(string(csv), "\n"), "\n")
	if len(all) != 1797 {
		t.Fatalf("%d images, want 1797", len(all))
	}
	e := newEngineWithin(t, wazero.NewRuntimeConfig(), meansPages)
	var tasks []result
	for first := 0; first < len(all); first += 100 {
		part := all[first:min(first+100, len(all))]
		r := e.mustRun(t, tally, lines(strings.Join(part, "")))
		if want := form(sumImages(t, part)); r.stdout != want {
			t.Errorf("lines from %d: got\n%swant\n%s", first+1, r.stdout, want)
		}
		tasks = append(tasks, r)
	}
	if len(tasks) != 18 {
		t.Errorf("%d tasks, want 18", len(tasks))
	}

	sums := sumImages(t, all)
	for digit, want := range []int64{178, 182, 177, 183, 181, 182, 181, 179, 174, 180} { // as README.md has it
		if sums[digit].count != want {
			t.Errorf("%d images of the digit %d, want %d", sums[digit].count, digit, want)
		}
	}
	got := e.mustRun(t, means, level(0,
		e.mustRun(t, means, level(0, tasks[:8]...)),
		e.mustRun(t, means, level(8, tasks[8:16]...)),
		e.mustRun(t, means, level(16, tasks[16:]...))))
	if want := form(sums); got.stdout != want {
		t.Errorf("got\n%swant\n%s", got.stdout, want)
	}
	if want := table(sums); got.files["means.csv"] != want {
		t.Errorf("means.csv: got\n%swant\n%s", got.files["means.csv"], want)
	}
	checkDrawing(t, got.files["means.txt"])

	// However the images are grouped, the same comes out.
	once := e.mustRun(t, means, level(0, e.mustRun(t, tally, images(t))))
	if once.stdout != got.stdout || once.files["means.csv"] != got.files["means.csv"] || once.files["means.txt"] != got.files["means.txt"] {
		t.Errorf("in one task: got\n%s%swant the same as of 18", once.stdout, once.files["means.txt"])
	}
}

// table is the means with three decimals, by exact fractions.
func table(sums [10]imageSums) string {
	var b strings.Builder
	for digit, s := range sums {
		b.WriteString(strconv.Itoa(digit))
		for _, p := range s.pixels {
			b.WriteString("," + big.NewRat(p, s.count).FloatString(3))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// checkDrawing compares the drawing with the one that README.md shows.
func checkDrawing(t *testing.T, got string) {
	t.Helper()
	readme, err := fs.ReadFile(examples.Files(), "means/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var indented strings.Builder
	for line := range strings.Lines(got) {
		if line != "\n" {
			indented.WriteString("    ")
		}
		indented.WriteString(line)
	}
	if !strings.Contains(string(readme), "\n\n"+indented.String()+"\n") {
		t.Errorf("means.txt: got\n%swant what README.md shows", got)
	}
}

// TestMeansOfMany goes to the ends of what is read: the most images, the
// largest file.
func TestMeansOfMany(t *testing.T) {
	e := newEngineWithin(t, wazero.NewRuntimeConfig(), meansPages)
	const most = 1_000_000_000_000
	var full, rest [10]imageSums
	for digit := range full {
		full[digit].count = most - 1
		rest[digit].count = 1
		for i := range full[digit].pixels {
			full[digit].pixels[i] = 16 * (most - 1)
			rest[digit].pixels[i] = 15
		}
	}
	r := e.mustRun(t, means, level(0, result{stdout: form(full)}, result{stdout: form(rest)}))
	if want := ",1000000000000" + strings.Repeat(",15999999999999", 64) + "\n"; strings.Count(r.stdout, want) != 10 {
		t.Errorf("got\n%swant ten times %s", r.stdout, want)
	}
	if want := strings.Repeat(",16.000", 64) + "\n"; strings.Count(r.files["means.csv"], want) != 10 {
		t.Errorf("means.csv: got\n%swant ten times %s", r.files["means.csv"], want)
	}
	row := strings.Repeat(strings.Repeat("@", 16)+"   ", 4) + strings.Repeat("@", 16) + "\n"
	title := "0: 1000000000000   1: 1000000000000   2: 1000000000000   3: 1000000000000   4: 1000000000000\n"
	if got := r.files["means.txt"]; !strings.Contains(got, "\n\n"+title+strings.Repeat(row, 8)+"\n5: ") {
		t.Errorf("means.txt: got\n%swant each image black below its number", got)
	}

	line := image(8, 16) + "\n"
	n := 4 << 20 / len(line)
	r = e.mustRun(t, tally, lines(strings.Repeat(line, n)))
	if want := fmt.Sprintf("8,%d,%d,0", n, 16*n); !strings.Contains(r.stdout, want) {
		t.Errorf("got\n%swant a line that begins with %s", r.stdout, want)
	}
}

func TestMeansComplain(t *testing.T) {
	none := fstest.MapFS{}
	line := image(3) + "\n"
	var sums [10]imageSums
	sums[4].count = 2
	sums[4].pixels[9] = 32
	good := form(sums)
	said := func(stdouts ...string) fs.FS {
		var inputs []result
		for _, s := range stdouts {
			inputs = append(inputs, result{stdout: s})
		}
		return level(0, inputs...)
	}
	with := func(old, text string) fs.FS { return said(good, strings.Replace(good, old, text, 1)) }
	sums[4] = imageSums{count: 999_999_999_999}
	many := form(sums)

	e := newEngineWithin(t, wazero.NewRuntimeConfig(), meansPages)
	for _, c := range []complaint{
		{"arguments", tally, lines(line), []string{"x"}, 2, "usage: tally"},
		{"no images", tally, none, nil, 3, "/in/digits.csv: cannot be opened"},
		{"empty file", tally, lines(""), nil, 3, "/in/digits.csv: is empty"},
		{"blank line", tally, lines(line + "\n"), nil, 3, "line 2"},
		{"half a line", tally, lines(line + line[:40]), nil, 3, "line 2 is not 64 pixel values from 0 to 16 and a digit"},
		{"a field too many", tally, lines("1," + line), nil, 3, "line 1"},
		{"too dark", tally, lines("17" + line[1:]), nil, 3, "line 1"},
		{"negative", tally, lines("-1" + line[1:]), nil, 3, "line 1"},
		{"a fraction", tally, lines("1.5" + line[1:]), nil, 3, "line 1"},
		{"an empty field", tally, lines(line[1:]), nil, 3, "line 1"},
		{"not a digit", tally, lines(image(10)), nil, 3, "line 1"},
		{"not text", tally, lines(line + "\x00" + line), nil, 3, "zero byte"},
		{"too large a file", tally, lines(strings.Repeat(line, 40_000)), nil, 3, "larger than 4194304 bytes"},

		{"means with arguments", means, said(good), []string{"x"}, 2, "usage: means"},
		{"no inputs", means, none, nil, 3, "no inputs"},
		{"no output", means, fstest.MapFS{"0000000007/stderr": {}}, nil, 3, "/in/0000000007/stdout: cannot be opened"},
		{"empty output", means, said(good, ""), nil, 3, "/in/0000000001/stdout: has 0 lines; want 10"},
		{"nine lines", means, said(good[:strings.Index(good, "9,0")]), nil, 3, "has 9 lines; want 10"},
		{"eleven lines", means, said(good + good), nil, 3, "line 11"},
		{"out of order", means, with("3,0", "2,0"), nil, 3, "/in/0000000001/stdout: line 4 is not the sums of a digit"},
		{"not a digit's sums", means, with("9,0", "10,0"), nil, 3, "line 10"},
		{"blank line of sums", means, said("\n" + good), nil, 3, "line 1"},
		{"a sum too few", means, with(",0\n", "\n"), nil, 3, "line 1"},
		{"a sum too many", means, with(",0\n", ",0,0\n"), nil, 3, "line 1"},
		{"more ink than images hold", means, with(",32,", ",33,"), nil, 3, "line 5"},
		{"ink without images", means, with("8,0,0", "8,0,1"), nil, 3, "line 9"},
		{"a mean", means, with(",32,", ",1.5,"), nil, 3, "line 5"},
		{"too many images", means, with("8,0", "8,1000000000001"), nil, 3, "line 9"},
		{"too many together", means, said(many, good), nil, 6, "more than 1000000000000 images of the digit 4"},
		{"zero byte", means, said(good + "\x00"), nil, 3, "zero byte"},
		{"too large", means, said(good + strings.Repeat("x", 64<<10)), nil, 3, "larger than 65536 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) { c.check(t, e) })
	}
}
