package wasm

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// checkHeader accepts what begins as a core module, version 1, and says what
// the bytes look like otherwise.
func checkHeader(b []byte) error {
	const magic = "\x00asm"
	switch {
	case len(b) == 0:
		return fmt.Errorf("%w: the file is empty", ErrNotWasm)
	case !bytes.HasPrefix(b, []byte(magic)):
		return fmt.Errorf("%w: this looks like %s", ErrNotWasm, guess(b))
	case len(b) < 8:
		return fmt.Errorf("%w: the file ends after %d bytes", ErrNotWasm, len(b))
	case bytes.Equal(b[4:8], []byte{1, 0, 0, 0}):
		return nil
	case b[6] == 1 && b[7] == 0:
		return fmt.Errorf("%w: this is a component; build a core module, for wasm32-wasip1 and not wasm32-wasip2, "+
			"or take the core module out of it with wasm-tools", ErrNotWasm)
	}
	return fmt.Errorf("%w: this is version %d of the format, want 1", ErrNotWasm, uint32(b[4])|uint32(b[5])<<8|uint32(b[6])<<16|uint32(b[7])<<24)
}

// guess names what people submit by mistake.
func guess(b []byte) string {
	for _, known := range []struct{ prefix, is string }{
		{"\x7fELF", "a native program or object file of Linux; build it with --target=wasm32-wasi"},
		{"MZ", "a native program of Windows; build it with --target=wasm32-wasi"},
		{"\xcf\xfa\xed\xfe", "a native program of macOS; build it with --target=wasm32-wasi"},
		{"\xca\xfe\xba\xbe", "a native program of macOS or a Java class; build it with --target=wasm32-wasi"},
		{"BC\xc0\xde", "LLVM bitcode; link it with wasm-ld"},
		{"!<arch>", "a library of object files; link it into a program with wasm-ld"},
		{"\x1f\x8b", "a gzip archive; unpack it first"},
		{"\x28\xb5\x2f\xfd", "a zstd archive; unpack it first"},
		{"PK\x03\x04", "a zip archive; unpack it first"},
		{"#!", "a script; Sheaf runs compiled WebAssembly modules"},
	} {
		if bytes.HasPrefix(b, []byte(known.prefix)) {
			return known.is
		}
	}
	head := b[:min(len(b), 512)]
	text := bytes.ToLower(bytes.TrimLeft(head, "\ufeff \t\r\n"))
	switch {
	case bytes.HasPrefix(text, []byte("<!doctype")), bytes.HasPrefix(text, []byte("<html")), bytes.HasPrefix(text, []byte("<")):
		return "a web page; the download probably failed"
	case bytes.HasPrefix(text, []byte("(")), bytes.HasPrefix(text, []byte(";;")):
		return "WebAssembly text; assemble it with wat2wasm"
	case readable(head):
		return "a text file; submit the compiled .wasm file"
	}
	return "something else; submit the compiled .wasm file"
}

func readable(head []byte) bool {
	for len(head) > 0 {
		c, n := utf8.DecodeRune(head)
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == utf8.RuneError && n == 1 && len(head) > utf8.UTFMax {
			return false
		}
		head = head[n:]
	}
	return true
}
