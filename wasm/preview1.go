package wasm

import "strings"

// Preview1 lists the functions of the WebAssembly system interface, preview 1
// (wasi_snapshot_preview1), with their signatures: all that a program may
// import. What each does in a task is for the sandbox to say; many only
// answer that they are not supported, but a C library links them.
func Preview1() []Import {
	letters := map[rune]ValueType{'i': I32, 'I': I64}
	list := make([]Import, 0, len(preview1))
	for _, f := range preview1 {
		var t FuncType
		params, result, _ := strings.Cut(f.signature, ":")
		for _, c := range params {
			t.Params = append(t.Params, letters[c])
		}
		for _, c := range result {
			t.Results = append(t.Results, letters[c])
		}
		list = append(list, Import{Module: "wasi_snapshot_preview1", Name: f.name, Kind: KindFunction, Func: t})
	}
	return list
}

// preview1 has a letter for each parameter, i for i32 and I for i64; the
// result is an error number.
var preview1 = [...]struct{ name, signature string }{
	{"args_get", "ii:i"},
	{"args_sizes_get", "ii:i"},
	{"clock_res_get", "ii:i"},
	{"clock_time_get", "iIi:i"},
	{"environ_get", "ii:i"},
	{"environ_sizes_get", "ii:i"},
	{"fd_advise", "iIIi:i"},
	{"fd_allocate", "iII:i"},
	{"fd_close", "i:i"},
	{"fd_datasync", "i:i"},
	{"fd_fdstat_get", "ii:i"},
	{"fd_fdstat_set_flags", "ii:i"},
	{"fd_fdstat_set_rights", "iII:i"},
	{"fd_filestat_get", "ii:i"},
	{"fd_filestat_set_size", "iI:i"},
	{"fd_filestat_set_times", "iIIi:i"},
	{"fd_pread", "iiiIi:i"},
	{"fd_prestat_dir_name", "iii:i"},
	{"fd_prestat_get", "ii:i"},
	{"fd_pwrite", "iiiIi:i"},
	{"fd_read", "iiii:i"},
	{"fd_readdir", "iiiIi:i"},
	{"fd_renumber", "ii:i"},
	{"fd_seek", "iIii:i"},
	{"fd_sync", "i:i"},
	{"fd_tell", "ii:i"},
	{"fd_write", "iiii:i"},
	{"path_create_directory", "iii:i"},
	{"path_filestat_get", "iiiii:i"},
	{"path_filestat_set_times", "iiiiIIi:i"},
	{"path_link", "iiiiiii:i"},
	{"path_open", "iiiiiIIii:i"},
	{"path_readlink", "iiiiii:i"},
	{"path_remove_directory", "iii:i"},
	{"path_rename", "iiiiii:i"},
	{"path_symlink", "iiiii:i"},
	{"path_unlink_file", "iii:i"},
	{"poll_oneoff", "iiii:i"},
	{"proc_exit", "i:"},
	{"proc_raise", "i:i"},
	{"random_get", "ii:i"},
	{"sched_yield", ":i"},
	{"sock_accept", "iii:i"},
	{"sock_recv", "iiiiii:i"},
	{"sock_send", "iiiii:i"},
	{"sock_shutdown", "ii:i"},
}
