// Package s3test starts a real S3 server for tests: Versity's gateway over a
// folder, built by the Go tool from a pinned version of its module the first
// time, which takes a minute or two, and kept in the user's cache folder.
package s3test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/internal/freeport"
	"github.com/sheafgrid/sheaf/storage/s3"
)

// module is the server and its version.
const module = "github.com/versity/versitygw/cmd/versitygw"

const version = "v1.8.0"

// The keys and the bucket of every server here.
const (
	access = "sheaf-test"
	secret = "a secret of no value"
	Bucket = "sheaf"
)

// Server is a running S3 server.
type Server struct {
	tb     testing.TB
	binary string
	port   int
	dir    string
	cmd    *exec.Cmd
}

// required is an environment variable that turns a server which cannot be built
// from a reason to skip into a failure.
const required = "SHEAF_S3_TESTS_REQUIRED"

// Start runs a server with an empty bucket until the test ends. It skips the
// test in short mode, on systems that the server does not run on, and where it
// cannot be built.
func Start(tb testing.TB) *Server {
	tb.Helper()
	if testing.Short() {
		tb.Skip("building an S3 server takes minutes the first time; not with -short")
	}
	if runtime.GOOS == "windows" {
		tb.Skip("the S3 server of these tests does not run on Windows")
	}
	ports, err := freeport.Loopback(1)
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{tb: tb, binary: build(tb), port: ports[0], dir: tb.TempDir()}
	for _, name := range []string{"data/" + Bucket, "meta"} {
		if err := os.MkdirAll(filepath.Join(s.dir, name), 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	s.Up()
	tb.Cleanup(s.Down)
	return s
}

// build returns the server's program, built if need be.
func build(tb testing.TB) string {
	tb.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		tb.Fatal(err)
	}
	dir := filepath.Join(cache, "sheaf-test", "versitygw-"+version)
	binary := filepath.Join(dir, "versitygw")
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), "go", "install", module+"@"+version)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		if os.Getenv(required) == "" {
			tb.Skipf("the S3 server cannot be built here, which needs a module proxy: %v\n%s", err, out)
		}
		tb.Fatalf("building the S3 server: %v\n%s", err, out)
	}
	return binary
}

// Config reaches the server's bucket.
func (s *Server) Config(prefix string) s3.Config {
	return s3.Config{
		Endpoint: fmt.Sprintf("http://127.0.0.1:%d", s.port), Bucket: Bucket, Prefix: prefix, Keys: s3.NewKeys(access, secret),
	}
}

// File is where the server keeps an object.
func (s *Server) File(name string) string {
	return filepath.Join(s.dir, "data", Bucket, filepath.FromSlash(name))
}

// Up starts the server, after Down too, with what it had.
func (s *Server) Up() {
	s.tb.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", s.port)
	s.cmd = exec.Command(s.binary, "--port", address, "--access", access, "--secret", secret, "--quiet", "--keep-alive",
		"posix", "--sidecar", filepath.Join(s.dir, "meta"), filepath.Join(s.dir, "data"))
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			_ = c.Close()
			return
		}
		if ctx.Err() != nil {
			s.tb.Fatalf("the S3 server does not come up: %v", err)
		}
		runtime.Gosched()
	}
}

// Down ends the server, in the middle of what it is doing.
func (s *Server) Down() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // killed: that is its error
	s.cmd = nil
}
