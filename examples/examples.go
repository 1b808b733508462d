// Package examples carries three real applications inside the sheaf binary:
// digits trains small neural networks and ranks them, primes counts primes and
// twin primes, and means draws the mean of each handwritten digit. Between
// them they show the three ways to split a job: a grid of settings, a range of
// numbers, the lines of a file.
//
// Each has a folder of its name with all that a submission needs: job.yaml,
// the WebAssembly programs and the inputs that it names, a README.md that says
// what must come out, and the attribution of its data where there is any. Only
// means has no data of its own: its job file names the data of digits, in the
// folder beside it. The programs' C sources lie beside them in the repository;
// build.sh makes the same bytes from them again.
//
// The package promises only these files, unchanged. It reads nothing at run
// time, starts no goroutine, and never runs a program itself.
package examples

import (
	"embed"
	"io/fs"
)

//go:embed digits/job.yaml digits/README.md digits/ATTRIBUTION.md digits/digits.csv digits/train.wasm digits/rank.wasm
//go:embed means/job.yaml means/README.md means/tally.wasm means/means.wasm
//go:embed primes/job.yaml primes/README.md primes/count.wasm primes/sum.wasm
var files embed.FS

// Names lists the examples: the folders in Files. The caller owns the list.
func Names() []string { return []string{"digits", "means", "primes"} }

// Files holds one folder for each example, without subfolders, to be copied
// out with os.CopyFS, all of them together: job files may name files of other
// examples.
func Files() fs.FS { return files }
