package identity_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/sheafgrid/sheaf/client/identity"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// newKey makes a key file and returns its path.
func newKey(t *testing.T, kind identity.Kind) (path string, key ed25519.PrivateKey) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "keys", string(kind)+".key")
	key, created, err := identity.LoadOrCreate(path, kind, rand.Reader)
	if err != nil || !created {
		t.Fatalf("first use: created %t, %v", created, err)
	}
	return path, key
}

func TestKeyIsMadeOnceAndKept(t *testing.T) {
	path, key := newKey(t, identity.Account)
	again, created, err := identity.LoadOrCreate(path, identity.Account, nil)
	if err != nil || created || !again.Equal(key) {
		t.Errorf("second use: created %t, %v, the same key: %t", created, err, again.Equal(key))
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %o, want 600", info.Mode().Perm())
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v; want the key file alone", entries, err)
	}
	if text, _ := os.ReadFile(path); !strings.Contains(string(text), identity.Name(protocol.PublicKey(key))) {
		t.Errorf("the file does not say whose it is:\n%s", text)
	}
}

func TestKeyFileIsRefused(t *testing.T) {
	change := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(old), []byte(new)) }
	}
	for name, c := range map[string]struct {
		change func([]byte) []byte
		want   string
	}{
		"empty":           {func([]byte) []byte { return nil }, "no key file"},
		"cut short":       {func(b []byte) []byte { return b[:len(b)-20] }, "cut short"},
		"secret changed":  {func(b []byte) []byte { b[len(b)-10] ^= 1; return b }, "changed"},
		"another kind":    {change("sheaf-key-1 account", "sheaf-key-1 host"), `kind "host" where the account key`},
		"another version": {change("sheaf-key-1", "sheaf-key-2"), "no key file"},
		"no public half":  {change("public ", "# public "), "want 3"},
		"a line twice":    {func(b []byte) []byte { return append(b, "public x\n"...) }, "twice"},
		"binary":          {func([]byte) []byte { return []byte{0xff, 0xfe, 0} }, "not a text"},
		"huge":            {func(b []byte) []byte { return append(b, bytes.Repeat([]byte("#\n"), 4000)...) }, "not a text"},
	} {
		t.Run(name, func(t *testing.T) {
			path, _ := newKey(t, identity.Account)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, c.change(b), 0o600); err != nil {
				t.Fatal(err)
			}
			_, _, err = identity.LoadOrCreate(path, identity.Account, rand.Reader)
			if !errors.Is(err, identity.ErrMalformed) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want ErrMalformed with %q and the path", err, c.want)
			}
		})
	}
}

func TestKeyFileWithRemarksIsRead(t *testing.T) {
	path, key := newKey(t, identity.Host)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b = append([]byte("\r\n# moved from the old laptop\r\n"), bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))...)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := identity.Load(path, identity.Host); err != nil || !got.Equal(key) {
		t.Errorf("got %v, want the same key", err)
	}
}

func TestExposedKeyIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	path, key := newKey(t, identity.Host)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	_, err := identity.Load(path, identity.Host)
	if !errors.Is(err, identity.ErrExposed) || !strings.Contains(err.Error(), "chmod 600 '"+path+"'") {
		t.Fatalf("got %v, want ErrExposed and how to mend it", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := identity.Load(path, identity.Host); err != nil || !got.Equal(key) {
		t.Errorf("mended: %v", err)
	}
}

func TestFolderInPlaceOfAKey(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := identity.LoadOrCreate(dir, identity.Host, rand.Reader); !errors.Is(err, identity.ErrMalformed) {
		t.Errorf("got %v, want ErrMalformed", err)
	}
	if _, err := identity.Load(filepath.Join(dir, "none"), identity.Host); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want ErrNotExist", err)
	}
}

// Two programs that start at once must not end with two keys.
func TestTwoAtOnceGetOneKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "account.key")
	keys := make([]ed25519.PrivateKey, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], _, err = identity.LoadOrCreate(path, identity.Account, rand.Reader); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range keys {
		if !keys[i].Equal(keys[0]) {
			t.Fatalf("program %d has another key than program 0", i)
		}
	}
}

func TestNoRandomNoKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "account.key")
	if _, _, err := identity.LoadOrCreate(path, identity.Account, strings.NewReader("short")); err == nil {
		t.Error("a key was made of 5 bytes")
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was left: %v", err)
	}
}

func TestName(t *testing.T) {
	form := regexp.MustCompile(`^[a-z]+-[a-z]+-[1-9][0-9]$`)
	seen := map[string]bool{}
	for i := range 2000 {
		name := identity.Name(task.Key(task.Sum([]byte{byte(i), byte(i >> 8)})))
		if !form.MatchString(name) || task.CheckHandle(name) != nil {
			t.Fatalf("name %q does not have the form", name)
		}
		seen[name] = true
	}
	if len(seen) < 1990 {
		t.Errorf("2000 keys have %d names", len(seen))
	}
	// A name, once shown, stays.
	if got, want := identity.Name(task.Key{1, 2, 3}), "quick-dunlin-45"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzKeyFile(f *testing.F) {
	path := filepath.Join(f.TempDir(), "k")
	key, _, err := identity.LoadOrCreate(path, identity.Host, bytes.NewReader(make([]byte, 32)))
	if err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "k")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := identity.Load(path, identity.Host)
		if err == nil && !bytes.Contains(b, []byte(protocol.PublicKey(got).String())) {
			t.Errorf("%q gives the key %s, which it does not name", b, protocol.PublicKey(got))
		}
		if err == nil && len(got) != len(key) {
			t.Errorf("a key of %d bytes", len(got))
		}
	})
}
