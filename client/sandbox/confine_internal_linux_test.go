package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// childOf finds the process that was started with a token as its last argument.
func childOf(t *testing.T, token string) int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		line, _ := os.ReadFile(path)
		if bytes.HasSuffix(line, []byte("\x00sandbox-child\x00"+token+"\x00")) {
			pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
			return pid
		}
	}
	return 0
}

func TestTheChildIsConfined(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	q := testRequest(t, "loop")
	found := map[string]string{}
	_, _ = Runner{Command: []string{self(t), "sandbox-child", t.Name()}}.Run(ctx, *q, func(Progress) {
		defer cancel()
		pid := childOf(t, t.Name())
		for _, name := range []string{"limits", "status", "oom_score_adj", "environ", "stat"} {
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
			found[name] = string(b)
		}
		found["cwd"], _ = os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		for _, path := range threads {
			b, _ := os.ReadFile(path)
			if !bytes.Contains(b, []byte("NoNewPrivs:\t1")) || !bytes.Contains(b, []byte("Seccomp:\t2")) {
				t.Errorf("%s is not confined", path)
			}
			stat, _ := os.ReadFile(strings.TrimSuffix(path, "us"))
			if f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); f[16] != "19" {
				t.Errorf("%s has priority %s, want 19", path, f[16])
			}
		}
		if len(threads) < 2 {
			t.Errorf("%d threads found", len(threads))
		}
	})
	for line, want := range map[string]string{
		"Max core file size": "0 0 bytes", "Max file size": "0 0 bytes", "Max open files": "16 16 files",
	} {
		if got := limitLine(found["limits"], line); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
	if got := limitLine(found["limits"], "Max address space"); strings.HasPrefix(got, "unlimited") || got == "" {
		t.Errorf("address space: %s", got)
	}
	if found["oom_score_adj"] != "1000\n" || found["environ"] != "" || found["cwd"] != "/" {
		t.Errorf("oom score %q, environment %q, folder %q", found["oom_score_adj"], found["environ"], found["cwd"])
	}
	// Process, parent, group, session: the child leads a session of its own.
	if f := strings.Fields(found["stat"][strings.LastIndexByte(found["stat"], ')')+1:]); f[2] != f[3] || f[3] == strconv.Itoa(os.Getpid()) {
		t.Errorf("group %s, session %s", f[2], f[3])
	}
}

// A child that somebody else kills is no result.
func TestAChildThatIsKilled(t *testing.T) {
	t.Parallel()
	_, err := Runner{Command: []string{self(t), "sandbox-child", t.Name()}}.Run(t.Context(), *testRequest(t, "loop"), func(Progress) {
		if err := unix.Kill(childOf(t, t.Name()), unix.SIGKILL); err != nil {
			t.Error(err)
		}
	})
	if !errors.Is(err, ErrChildDied) || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("got %v, want ErrChildDied", err)
	}
}

func limitLine(limits, name string) string {
	for line := range strings.Lines(limits) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.Join(strings.Fields(rest), " ")
		}
	}
	return ""
}

// A program's memory costs the machine what the program touches, not a
// multiple of it.
func TestMemoryCostsWhatItHolds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	q := testRequest(t, "hold", "192")
	q.Limits.Memory = 1 << 30
	peak, beats := 0, 0
	_, _ = Runner{Command: []string{self(t), "sandbox-child", t.Name()}}.Run(ctx, *q, func(Progress) {
		if beats++; beats < 2 {
			return
		}
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", childOf(t, t.Name())))
		peak, _ = strconv.Atoi(strings.Fields(limitLine(string(status), "VmHWM:"))[0])
		cancel()
	})
	if peak >>= 10; peak < 192 || peak > 192*12/10 && detectorMemory == 0 {
		t.Errorf("a program that holds 192 MiB took %d MiB", peak)
	}
}

// Killing a parent, without warning, ends its child.
func TestAChildDiesWithItsParent(t *testing.T) {
	t.Parallel()
	parent := exec.Command(self(t), "sandbox-parent", t.Name())
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "running\n" {
		t.Fatalf("the parent said %q, %v", line, err)
	}
	child := childOf(t, t.Name())
	fd, err := unix.PidfdOpen(child, 0)
	if err != nil {
		t.Fatalf("child %d: %v", child, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 5000)
		if err == unix.EINTR {
			continue
		}
		if n != 1 {
			t.Errorf("the child goes on without its parent: %d, %v", n, err)
		}
		return
	}
}
