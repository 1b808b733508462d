package publisher

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sheafgrid/sheaf/task"
)

// The names in a fetched folder.
const (
	manifestName = "manifest.json"
	specName     = "spec.bin"
	tasksName    = "tasks"
	reducedName  = "reduced"
	stdoutName   = task.OutputStdout // of all tasks, with collect: concat

	lockName       = ".lock"
	partsName      = ".parts"
	stdoutPartName = "stdout.part"
)

func resultsName(level uint8) string { return fmt.Sprintf("results-%d.ndjson", level) }

// taskFolder is the folder of a task's outputs. Its digits sort as the tasks
// do.
func taskFolder(index uint64) string { return fmt.Sprintf("%s/%010d", tasksName, index) }

// ownName tells the names that only Fetch uses at the top of a folder.
var ownName = regexp.MustCompile(`^(manifest\.json|spec\.bin|results-[0-9]{1,3}\.ndjson|tasks|reduced|stdout|stdout\.part|\.lock|\.parts)$`)

// litter tells what desktops leave in every folder that somebody opens.
func litter(name string) bool {
	return name == ".DS_Store" || strings.EqualFold(name, "thumbs.db") || strings.EqualFold(name, "desktop.ini")
}

// outputs says where the files of one level lie in a folder.
type outputs struct {
	level  uint8
	concat bool // standard outputs are segments of one file
	folder func(index uint64) string
}

// outputsOf are the levels whose outputs a folder holds.
func outputsOf(collect task.Collect, levels uint8, onlyReduced bool) []outputs {
	var all []outputs
	if !onlyReduced {
		all = append(all, outputs{level: 0, concat: collect == task.CollectConcat, folder: taskFolder})
	}
	if levels > 1 {
		all = append(all, outputs{level: levels - 1, folder: func(uint64) string { return reducedName }})
	}
	return all
}

// inStdout reports whether an output is a segment of the one file.
func (o *outputs) inStdout(f *task.OutputFile) bool { return o.concat && f.Name == task.OutputStdout }
