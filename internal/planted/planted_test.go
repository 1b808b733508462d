//go:build planted

package planted_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/internal/planted"
)

const module = "github.com/sheafgrid/sheaf/"

// catches says which test catches a bug, and what it says then.
var catches = []struct {
	bug  planted.Bug
	pkg  string
	test string
	says string
	args []string
}{
	{planted.AckBeforeSync, "coordinator/consensus", "TestPowerCutAtEveryStep", `R1: entry \d+ was stored`, nil},
	{planted.AckBeforeSync, "coordinator/consensus", "TestNodePowerCutAtEveryStep", `R1: (project \d+ was acknowledged and is gone|it was bootstrapped, and does not lead)`, nil},
	{planted.OutputsBeforeSync, "storage/segments", "TestPowerCutAtEveryStep", `an acknowledged blob of \d+ bytes`, nil},
	{planted.DropDirectorySync, "storage/dir", "TestPowerCutAtEveryStep", `an acknowledged blob of \d+ bytes is gone`, nil},
	{planted.DropSnapshotDirSync, "coordinator/consensus", "TestPowerCutAtEveryStep", `R1: the (newest )?snapshot|there is no snapshot, and the log begins`, nil},
	{planted.SkipDuplicateCheck, "coordinator/state", "TestR2NumberedRequests", `R2: `, nil},
	{planted.SkipDuplicateCheck, "coordinator/histories", "TestLinearizable/none", `R2: request|not linearizable`, histories},
	{planted.DoubleCredit, "coordinator/histories", "TestLinearizable/none", `C1: |not linearizable`, histories},
	{planted.StaleRead, "coordinator/histories", "TestLinearizable/leader_alone", `not linearizable`, histories},
	{planted.LeaderClockAhead, "coordinator/consensus", "TestR5TimeGoesOnAcrossLeaders", `R5: 3 s passed`, nil},
	{planted.LeaderClockAhead, "coordinator/histories", "TestLinearizable/leader_crashes", `R5: cluster time|not linearizable`, histories},
	{planted.MapOrder, "coordinator/state", "TestInvariantsHoldUnderChaos", `R3: `, nil},
	{planted.SealBeforeMajority, "coordinator/coordinatortest", "TestSealWaitsForTheMajority", `R1: \d+ tasks are sealed`, nil},
	{planted.RemoveBeforeCopied, "coordinator/coordinatortest", "TestR1RemovalCopiesFirst", `R1: blob \w+ \(output: \w+\) is on 1 of 2 voters`, nil},
}

// histories are enough that one of them meets the bug.
var histories = []string{"-histories=8", "-seed=1"}

// The checkers see: each planted bug is caught by the test that is there for
// it, which passes without the bug.
func TestPlantedBugsAreCaught(t *testing.T) {
	bin := t.TempDir()
	built := map[string]string{}
	bugs := map[planted.Bug]bool{}
	caught := 0
	for _, c := range catches {
		t.Run(fmt.Sprintf("%s by %s", c.bug, c.test), func(t *testing.T) {
			if built[c.pkg] == "" {
				built[c.pkg] = build(t, bin, c.pkg)
			}
			if out, err := runTest(built[c.pkg], c.pkg, c.test, "", c.args); err != nil {
				t.Fatalf("without the bug, %s fails: %v\n%s", c.test, err, out)
			}
			out, err := runTest(built[c.pkg], c.pkg, c.test, c.bug, c.args)
			if err == nil {
				t.Fatalf("with the bug %s, %s in %s passes", c.bug, c.test, c.pkg)
			}
			said := regexp.MustCompile(c.says).FindString(out)
			if said == "" {
				t.Fatalf("with the bug %s, %s fails for another reason than %q:\n%s", c.bug, c.test, c.says, out)
			}
			caught++
			bugs[c.bug] = true
			fmt.Printf("%-24s caught by %-38s %q\n", c.bug, c.test, said)
		})
	}
	fmt.Printf("%d planted bugs, caught %d times by %d tests\n", len(bugs), caught, len(catches))
}

// build makes a package's test program.
func build(t *testing.T, bin, pkg string) string {
	t.Helper()
	out := filepath.Join(bin, strings.ReplaceAll(pkg, "/", "-")+".test")
	cmd := exec.Command("go", "test", "-tags", "planted", "-c", "-o", out, module+pkg)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, b)
	}
	return out
}

// runTest runs one test of a package, with a bug or without.
func runTest(binary, pkg, test string, bug planted.Bug, args []string) (string, error) {
	parts := strings.Split(test, "/")
	for i := range parts {
		parts[i] = "^" + parts[i] + "$"
	}
	cmd := exec.Command(binary, append([]string{"-test.run", strings.Join(parts, "/"), "-test.timeout", "5m"}, args...)...)
	cmd.Dir = filepath.Join("..", "..", filepath.FromSlash(pkg))
	cmd.Env = append(os.Environ(), "SHEAF_PLANTED="+string(bug))
	b, err := cmd.CombinedOutput()
	return string(b), err
}
