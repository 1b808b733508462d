package sandbox

import (
	"errors"
	"fmt"

	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/wasm"
)

// instrument checks a publisher's module and makes of it the one that counts
// its work.
func instrument(module []byte, meter uint16, l task.Limits) ([]byte, error) {
	if _, err := wasm.Check(module, wasm.ProgramRules(uint32(l.Memory/task.WasmPage))); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadProgram, err)
	}
	rewritten, err := wasm.Rewrite(module, meter)
	switch {
	case errors.Is(err, wasm.ErrMeter):
		return nil, fmt.Errorf("%w: %w", ErrMeter, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrBadProgram, err)
	}
	return rewritten, nil
}
