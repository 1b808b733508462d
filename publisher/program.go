package publisher

import (
	"errors"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/wasm"
)

// ErrProgram is wrapped by the error about a file that is not a program which
// volunteers run.
var ErrProgram = errors.New("cannot be run by volunteers")

// maxProgramFile bounds a program as a compiler leaves it, in bytes. Debug
// information often takes most of it, and is stripped.
const maxProgramFile = 256 << 20

// LoadProgram reads a program from a file and makes of it the bytes that are
// signed, shipped and run: without debug information, and then checked as
// coordinators and volunteers check it, with memory as its limit, in bytes. Its
// errors do not name the file; they wrap ErrProgram where its content is what
// is wrong.
func LoadProgram(path string, memory uint64) ([]byte, error) {
	file, local, err := openLocal(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if local.size > maxProgramFile {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d are read; build without debug information", ErrProgram, local.size, maxProgramFile)
	}
	b, err := io.ReadAll(io.LimitReader(file, maxProgramFile))
	if err != nil {
		return nil, err
	}
	stripped, err := wasm.Strip(b)
	if err == nil {
		_, err = wasm.Check(stripped, wasm.ProgramRules(uint32(memory/task.WasmPage)))
	}
	if err == nil {
		_, err = wasm.Rewrite(stripped, wasm.CurrentMeter)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProgram, err)
	}
	return stripped, nil
}
