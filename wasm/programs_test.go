package wasm_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/sheafgrid/sheaf/wasm"
)

// programs are real ones. Their counts and the first half of the SHA-256 of
// what Rewrite makes of them are frozen with version 1 of the meter: results
// that were logged name it.
var programs = []struct {
	name, output string
	count        uint64
	sum          string
}{
	{"sort", "12224842\n", 98_472_809, "c778c7be295854b6f32f0e908c2f3964"},
	{"nbody", "0.012602743220051213 0.28749283746220955\n", 7_813_639, "b9f9419e90fe549c0ada4935bf28e5b4"},
	{"hash", "ca68536d24ca2f19\n", 28_186_010, "bab8f22229c5ea75b41bb58e14178dfb"},
	{"matrix", "17184 206304\n", 674_845, "e85bd8e1b7dd876f487e13bd8fd3177d"},
	{"trees", "24573\n", 14_013_673, "f7d3a43377e9dee88936cf7beaaff526"},
}

func testdata(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".wasm"))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestPrograms(t *testing.T) {
	if racing {
		t.Skip("needs minutes under the race detector; run it without -race")
	}
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			module := testdata(t, p.name)
			if _, err := wasm.Check(module, wasm.ProgramRules(64)); err != nil {
				t.Fatal(err)
			}
			plain := runWith(t, engines()["compiler"], module, 0, "_start")
			metered := runMetered(t, module, noLimit, "_start")
			if plain.output != p.output || metered.output != p.output || metered.trap != "" {
				t.Errorf("the plain program prints %q, the metered one %q (%s), want %q", plain.output, metered.output, metered.trap, p.output)
			}
			if slow := runWith(t, engines()["compiler"], slowly(t, module), 0, "_start"); metered.count != p.count || slow.count != p.count {
				t.Errorf("counted %d, slowly %d, want %d", metered.count, slow.count, p.count)
			}
			sum := sha256.Sum256(rewrite(t, module))
			if got := hex.EncodeToString(sum[:16]); got != p.sum {
				t.Errorf("Rewrite makes %s, want %s", got, p.sum)
			}
			stripped, err := wasm.Strip(module)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(rewrite(t, stripped), rewrite(t, module)) {
				t.Error("custom sections change what Rewrite makes")
			}
			limit := p.count / 2
			if got := runMetered(t, module, limit, "_start"); !got.overLimit(limit) || got.trap == "" || got.count > limit+10_000 {
				t.Errorf("with half of its work as the limit: %+v", got)
			}
		})
	}
}

// A Go program brings its own scheduler and collector: 1.3 MB of code that no
// C compiler would make.
func TestGoProgram(t *testing.T) {
	if racing || testing.Short() {
		t.Skip("needs a run without -race and -short: it builds a Go program")
	}
	dir := t.TempDir()
	source := "package main\n\nfunc main() {\n\tm := map[int]int{}\n\tfor i := range 1000 {\n\t\tm[i*i%97] += i\n\t}\n\tprintln(len(m))\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", "main.wasm", "main.go")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("needs a Go that builds for wasip1: %v\n%s", err, out)
	}
	module, err := os.ReadFile(filepath.Join(dir, "main.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := wasm.Check(module, wasm.ProgramRules(1024))
	if err != nil {
		t.Fatal(err)
	}
	metered := rewrite(t, module)
	t.Logf("%d functions, %d bytes of code of %d, rewritten %d", info.Functions, info.CodeBytes, info.Bytes, len(metered))

	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, engines()["interpreter"])
	defer r.Close(ctx)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	var counts []uint64
	for _, m := range [][]byte{metered, slowly(t, module)} {
		o, err := instantiate(ctx, r, m, noLimit, "_start")
		if err != nil || o.trap != "" {
			t.Fatal(err, o)
		}
		counts = append(counts, o.count)
	}
	if counts[0] != counts[1] || counts[0] == 0 {
		t.Errorf("counted %d, slowly %d", counts[0], counts[1])
	}
}
