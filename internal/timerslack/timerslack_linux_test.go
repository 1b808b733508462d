package timerslack

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// asked is set in the process that the test starts.
const asked = "SHEAF_TEST_TIMERSLACK"

func TestMain(m *testing.M) {
	if os.Getenv(asked) == "" {
		os.Exit(m.Run())
	}
	Widen()
	in, _ := io.ReadAll(os.Stdin)
	made := make(chan int)
	go func() {
		runtime.LockOSThread() // a thread that was made before, or is made now
		made <- current()
	}()
	fmt.Println(os.Getpid(), current(), <-made, os.Args[1:], string(in))
}

// The process that starts itself again keeps its number, what it was given, and a
// slack that somebody chose.
func TestWiden(t *testing.T) {
	for name, c := range map[string]struct{ given, want int }{
		"the system's": {system, wide},
		"chosen":       {70_000, 70_000},
		"wide already": {wide, wide},
	} {
		t.Run(name, func(t *testing.T) {
			runtime.LockOSThread() // the process has the slack of the thread that starts it
			defer runtime.UnlockOSThread()
			if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(c.given), 0, 0, 0); err != nil {
				t.Skip(err)
			}
			defer unix.Prctl(unix.PR_SET_TIMERSLACK, system, 0, 0, 0)
			cmd := exec.Command(os.Args[0], "a", "b c")
			cmd.Env = append(slices.Clone(os.Environ()), asked+"=1")
			cmd.Stdin = strings.NewReader("in")
			var out strings.Builder
			cmd.Stdout, cmd.Stderr = &out, os.Stderr
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintln(cmd.Process.Pid, c.want, c.want, []string{"a", "b c"}, "in"); out.String() != want {
				t.Errorf("got %q, want %q", out.String(), want)
			}
		})
	}
}
