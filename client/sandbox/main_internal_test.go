package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/task"
)

// TestMain makes the test binary what the tests run as a child: the sandbox
// itself, a child that does not do what it should, or a parent to be killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "sandbox-child":
			os.Exit(ChildMain(os.Stdin, os.Stdout))
		case "sandbox-fake":
			fakes[os.Args[2]]()
			os.Exit(0)
		case "sandbox-parent":
			beParent(os.Args[2])
		}
	}
	os.Exit(m.Run())
}

// beParent runs a program without end and says so on standard output.
func beParent(token string) {
	module, err := os.ReadFile("testdata/guest.wasm")
	if err != nil {
		panic(err)
	}
	q := Request{
		Module: module, Meter: 1, Args: []string{"loop"},
		Limits: task.Limits{Work: task.MaxWork, Memory: 1 << 20, Output: 1 << 10, Wall: 30_000},
	}
	_, err = Runner{Command: []string{os.Args[0], "sandbox-child", token}}.Run(context.Background(), q, func(Progress) {
		fmt.Println("running")
	})
	panic(err)
}

// fakes are children that do not do what they should.
var fakes = map[string]func(){
	"garbage":         func() { say([]byte(strings.Repeat("garbage", 100))) },
	"nothing":         func() { os.Exit(3) },
	"huge frame":      func() { say([]byte{byte(frameOutcome), 0x7f, 0xff, 0xff, 0xff}) },
	"a request":       func() { say(framed(frameRequest, nil)) },
	"cut short":       func() { say(framed(frameOutcome, make([]byte, 100))[:50]) },
	"content first":   func() { say(framed(frameContent, []byte("x"))) },
	"bad exit":        func() { answer(Outcome{Exit: 100}) },
	"failed exit":     func() { answer(Outcome{Exit: task.ExitFailed}) },
	"trap and output": func() { answer(Outcome{Exit: task.ExitUnreachable, Outputs: list("stdout", 1)}) },
	"too much work":   func() { answer(Outcome{Work: math.MaxUint64}) },
	"too little work": func() { answer(Outcome{Exit: task.ExitWorkLimit}) },
	"too much output": func() { answer(Outcome{Outputs: list("stdout", 1<<20+1)}) },
	"enormous output": func() { answer(Outcome{Outputs: list("stdout", math.MaxInt64)}) },
	"climbing name":   func() { answer(Outcome{Outputs: list("out/../../x", 1)}) },
	"foreign name":    func() { answer(Outcome{Outputs: list("x", 1)}) },
	"diagnostics":     func() { answer(Outcome{Diagnostic: strings.Repeat("x", maxDiagnostic+1)}) },
	"trailing bytes":  func() { say(framed(frameOutcome, append(encodeOutcome(&Outcome{})[frameHead:], 0))) },
	"more than said": func() {
		answer(Outcome{Outputs: list("stdout", 1)})
		say(framed(frameContent, []byte("xx")))
	},
	"empty content": func() {
		answer(Outcome{Outputs: list("stdout", 1)})
		say(framed(frameContent, nil))
	},
	"less than said": func() {
		answer(Outcome{Outputs: list("stdout", 2)})
		say(framed(frameContent, []byte("x")))
	},
	"a piece":          func() { say(framed(framePiece, []byte("x"))) },
	"needs nothing":    func() { say(framed(frameNeed, encodeNeed(need{0, 0})[frameHead:])) },
	"odd need":         func() { say(framed(frameNeed, []byte{0})) },
	"long need":        func() { say(framed(frameNeed, make([]byte, 21))) },
	"odd progress":     func() { say(framed(frameProgress, make([]byte, 15))) },
	"negative time":    func() { say(framed(frameProgress, bytes.Repeat([]byte{0xff}, 16))) },
	"unknown failure":  func() { say(framed(frameFailure, []byte{99})) },
	"no failure":       func() { say(framed(frameFailure, nil)) },
	"a crash":          func() { panic(strings.Repeat("long ", 10_000) + "and the end\x1b[31m") },
	"endless progress": func() { endless(framed(frameProgress, make([]byte, 16))) },
	"too much memory":  eatMemory,
}

func say(b []byte) {
	if _, err := os.Stdout.Write(b); err != nil {
		os.Exit(1)
	}
}

func framed(k frameKind, payload []byte) []byte {
	var b bytes.Buffer
	if err := writeFrame(&b, k, append(newFrame(len(payload)), payload...)); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func answer(o Outcome) { say(framed(frameOutcome, encodeOutcome(&o)[frameHead:])) }

func list(name string, size int64) task.OutputList { return task.OutputList{{Name: name, Size: size}} }

func endless(b []byte) {
	for {
		say(b)
	}
}

// eatMemory takes more than the process allows itself.
func eatMemory() {
	if err := confine(); err != nil {
		panic(err)
	}
	if err := limitMemory(64 << 20); err != nil {
		panic(err)
	}
	b := make([]byte, 1<<30)
	answer(Outcome{Work: uint64(len(b))})
}
