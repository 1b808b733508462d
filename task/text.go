package task

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxPathBytes bounds a path under /in or /out.
const MaxPathBytes = 255

// CheckPath accepts a relative path with forward slashes that every operating
// system can hold: it goes nowhere but down, and none of its parts is empty,
// ".", "..", a device name of Windows, or made of characters that some file
// system refuses.
func CheckPath(path string) error {
	bad := func(why string) error { return fmt.Errorf("path %q: %s", clip(path), why) }
	if path == "" || len(path) > MaxPathBytes {
		return bad(fmt.Sprintf("want 1 to %d bytes", MaxPathBytes))
	}
	if !printable(path) || strings.ContainsAny(path, `\:*?"<>|`) {
		return bad(`want printable text without \ : * ? " < > |`)
	}
	parts := strings.Split(path, "/")
	if len(parts) > 16 {
		return bad("at most 16 folders deep")
	}
	for _, p := range parts {
		if p == "" || p == "." || p == ".." {
			return bad("want a relative path without empty parts, . or ..")
		}
		if strings.HasSuffix(p, ".") || strings.HasSuffix(p, " ") || strings.HasPrefix(p, " ") {
			return bad("no part may begin with a space or end with a space or a dot")
		}
		stem, _, _ := strings.Cut(strings.ToLower(p), ".")
		if slices.Contains(deviceNames, stem) {
			return bad(fmt.Sprintf("%q is a device on Windows", p))
		}
	}
	return nil
}

// folderOf reports whether one path would have to be a folder for the other to
// be a file, such as "a" and "a/b". No file system holds both.
func folderOf(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return len(b) > len(a) && b[len(a)] == '/' && strings.EqualFold(b[:len(a)], a)
}

var deviceNames = []string{
	"con", "prn", "aux", "nul",
	"com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9",
	"lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
}

// MaxHandleBytes bounds the names of projects, apps, accounts and hosts.
const MaxHandleBytes = 40

// CheckHandle accepts a name that is unique in a cluster and is typed by
// people: lower-case letters and digits, with single dashes inside.
func CheckHandle(name string) error {
	ok := name != "" && len(name) <= MaxHandleBytes && !strings.HasPrefix(name, "-") &&
		!strings.HasSuffix(name, "-") && !strings.Contains(name, "--")
	for _, c := range name {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !ok {
		return fmt.Errorf("name %q: want 1 to %d of a-z, 0-9 and single dashes inside", clip(name), MaxHandleBytes)
	}
	return nil
}

// printable reports whether s is text that can be shown to people: valid
// UTF-8 without control, format or private characters.
func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

func identifier(s string) bool {
	for i, c := range s {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= MaxHandleBytes
}
