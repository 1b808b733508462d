package wasi

import (
	"errors"

	"github.com/sheafgrid/sheaf/wasm"
)

// Function is one function that programs may import.
type Function struct {
	wasm.Import // its module, name and signature

	serve func(*System, call) error
}

// Functions lists all functions of WASI preview 1, those included that only
// answer that there is no such call.
func Functions() []Function {
	var list []Function
	for _, in := range wasm.Preview1() {
		f := Function{Import: in, serve: served[in.Name]}
		if f.serve == nil {
			f.serve = notServed
		}
		list = append(list, f)
	}
	return list
}

// Call serves one call on s. There must be as many arguments as the function
// has parameters; an i32 stands in the low half of its word. The number is the
// call's result, where it has one. An error is a *Stop: the program has ended
// and must not run on.
func (f *Function) Call(s *System, m Memory, args []uint64) (Errno, error) {
	err := f.serve(s, call{memory: m, args: args})
	if err == nil {
		return 0, nil
	}
	var number Errno
	if errors.As(err, &number) {
		return number, nil
	}
	return 0, err
}

func notServed(*System, call) error { return errNoSuchCall }

// served are the functions that do something. Above each stand its parameters,
// as WASI names them.
var served = map[string]func(*System, call) error{
	"args_get":              (*System).argsGet,
	"args_sizes_get":        (*System).argsSizesGet,
	"environ_get":           (*System).environGet,
	"environ_sizes_get":     (*System).environSizesGet,
	"clock_res_get":         (*System).clockResGet,
	"clock_time_get":        (*System).clockTimeGet,
	"fd_advise":             (*System).fdAdvise,
	"fd_close":              (*System).fdClose,
	"fd_datasync":           (*System).fdSync,
	"fd_fdstat_get":         (*System).fdFdstatGet,
	"fd_fdstat_set_flags":   (*System).fdFdstatSetFlags,
	"fd_filestat_get":       (*System).fdFilestatGet,
	"fd_filestat_set_size":  (*System).fdFilestatSetSize,
	"fd_pread":              (*System).fdPread,
	"fd_prestat_dir_name":   (*System).fdPrestatDirName,
	"fd_prestat_get":        (*System).fdPrestatGet,
	"fd_pwrite":             (*System).fdPwrite,
	"fd_read":               (*System).fdRead,
	"fd_readdir":            (*System).fdReaddir,
	"fd_seek":               (*System).fdSeek,
	"fd_sync":               (*System).fdSync,
	"fd_tell":               (*System).fdTell,
	"fd_write":              (*System).fdWrite,
	"path_create_directory": (*System).pathCreateDirectory,
	"path_filestat_get":     (*System).pathFilestatGet,
	"path_open":             (*System).pathOpen,
	"path_remove_directory": (*System).pathRemoveDirectory,
	"path_rename":           (*System).pathRename,
	"path_unlink_file":      (*System).pathUnlinkFile,
	"poll_oneoff":           (*System).pollOneoff,
	"proc_exit":             (*System).procExit,
	"random_get":            (*System).randomGet,
	"sched_yield":           (*System).schedYield,
}
