// Package sheaf_test holds the architecture still: which package may import
// which, what pure packages may not touch, and how large a file may grow. Its
// table of levels is the layout of docs/architecture.md.
package sheaf_test

import (
	"bufio"
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sheafgrid/sheaf"

// levels gives each package its level. Imports go strictly down.
var levels = map[string]int{
	"task": 0, "internal/wire": 0, "internal/signatures": 0, "internal/fsutil": 0, "internal/freeport": 0, "internal/planted": 0, "internal/simdisk": 0, "internal/metrics": 0, "internal/usage": 0, "internal/diskwatch": 0, "internal/pace": 0, "internal/gate": 0, "internal/timerslack": 0,

	"validation": 1, "wasm": 1, "sheaves": 1, "protocol": 1, "storage": 1, "examples": 1,

	"storage/dir": 2, "storage/s3": 2, "storage/reserve": 2, "storage/partial": 2, "storage/segments": 2, "storage/memory": 2, "storage/faulty": 2, "storage/storagetest": 2,
	"coordinator/state": 2, "coordinator/schedule": 2, "client/plan": 2, "publisher": 2, "client/sandbox/wasi": 2, "web": 2, "loadgen": 2, "coordinator/peers": 2,

	"storage/tiered": 3, "storage/s3/s3test": 3, "coordinator/collect": 3, "coordinator/scrub": 3, "coordinator/archive": 3, "coordinator/consensus": 3, "coordinator/blobs": 3, "coordinator/dispatch": 3, "coordinator/sweep": 3, "coordinator/httpapi": 3, "coordinator/statebench": 3, "coordinator/backup": 3, "coordinator/front": 3,
	"client/sandbox": 3, "client/journal": 3, "client/remote": 3, "client/identity": 3,

	"coordinator": 4, "client": 4, "coordinator/histories": 4,

	"coordinator/coordinatortest": 5, "cmd/sheaf": 5, ".": 5,
}

// pure packages do no I/O, read no clock and draw no random number.
var pure = []string{"task", "validation", "wasm", "sheaves", "coordinator/state", "coordinator/schedule", "client/plan"}

// banned imports of pure packages, with the reason.
var bannedInPure = map[string]string{
	"os": "does I/O", "net": "does I/O", "net/http": "does I/O", "log": "does I/O", "log/slog": "does I/O",
	"crypto/rand": "randomness is an argument", "math/rand": "randomness is an argument", "math/rand/v2": "randomness is an argument",
	"os/exec": "does I/O", "syscall": "does I/O", "path/filepath": "knows a file system",
}

// confined imports belong to a few packages; tests may use them anywhere.
var confined = map[string][]string{
	"github.com/hashicorp/raft":         {"coordinator/consensus", "coordinator/coordinatortest"},
	"github.com/hashicorp/raft-wal":     {"coordinator/consensus"},
	"github.com/minio/minio-go/v7":      {"storage/s3"},
	"go.etcd.io/bbolt":                  {"coordinator/consensus", "client/journal"},
	"github.com/tetratelabs/wazero":     {"client/sandbox"},
	"filippo.io/edwards25519":           {"internal/signatures"},
	"github.com/anishathalye/porcupine": {"coordinator/histories"},
	"net/http":                          {"client", "coordinator", "coordinator/blobs", "coordinator/peers", "coordinator/httpapi", "coordinator/coordinatortest", "client/remote", "storage/s3", "internal/gate", "cmd/sheaf"},
}

// imports lists what each package imports, outside of its tests.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		fields := strings.Fields(s.Text())
		all[local(fields[0])] = fields[1:]
	}
	return all
}

// local is a package's path within the module.
func local(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

func TestImportsGoDown(t *testing.T) {
	for pkg, list := range imports(t) {
		level, ok := levels[pkg]
		if !ok {
			t.Errorf("package %s has no level: give it one here and in docs/architecture.md", pkg)
			continue
		}
		for _, path := range list {
			if !strings.HasPrefix(path, module) {
				continue
			}
			if below := local(path); levels[below] >= level {
				t.Errorf("%s (level %d) imports %s (level %d): imports go strictly down; declare a small interface where it is used", pkg, level, below, levels[below])
			}
		}
	}
}

func TestPurePackagesStayPure(t *testing.T) {
	all := imports(t)
	for _, pkg := range pure {
		for _, path := range all[pkg] {
			if why, bad := bannedInPure[path]; bad {
				t.Errorf("%s is pure and imports %s, which %s", pkg, path, why)
			}
		}
	}
}

func TestConfinedImports(t *testing.T) {
	for pkg, list := range imports(t) {
		for _, path := range list {
			for banned, allowed := range confined {
				if path != banned && !strings.HasPrefix(path, banned+"/") {
					continue
				}
				if !slices.ContainsFunc(allowed, func(a string) bool {
					return pkg == a || banned == "github.com/tetratelabs/wazero" && strings.HasPrefix(pkg, a+"/")
				}) {
					t.Errorf("%s imports %s, which belongs in %s", pkg, path, strings.Join(allowed, ", "))
				}
			}
			clientAndCoordinator := strings.HasPrefix(pkg, "client") && strings.HasPrefix(local(path), "coordinator") ||
				strings.HasPrefix(pkg, "coordinator") && strings.HasPrefix(local(path), "client")
			if clientAndCoordinator {
				t.Errorf("%s imports %s: client and coordinator never import each other", pkg, path)
			}
		}
	}
}

// forbiddenInPure may not appear in pure packages: durations are arguments like
// any other, the clock that measures them is not.
var forbiddenInPure = []string{"time.Now(", "time.Since(", "time.Until(", "time.After", "time.Sleep(", "time.NewTi", "go func"}

// replicated packages decide what goes into the state, where a float may
// differ from one CPU to the next. (wasm knows floats, as a validator must.)
var replicated = []string{"task", "validation", "coordinator/state", "coordinator/schedule"}

func TestFilesAreReadable(t *testing.T) {
	documented := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			if d != nil && d.IsDir() && err == nil {
				return filepath.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if n := bytes.Count(b, []byte("\n")); n > 800 {
			t.Errorf("%s has %d lines, at most 800: it has more than one subject", path, n)
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		if strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, b, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		documented[pkg] = documented[pkg] || f.Doc.Text() != ""
		var forbidden []string
		if slices.Contains(pure, pkg) {
			forbidden = forbiddenInPure
		}
		if slices.Contains(replicated, pkg) {
			forbidden = append(slices.Clone(forbidden), "float64", "float32")
		}
		for _, text := range forbidden {
			if bytes.Contains(b, []byte(text)) {
				t.Errorf("%s is in a pure package and contains %q", path, text)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("package %s has no comment that says what it is for", pkg)
		}
	}
}
