//go:build unix

package identity

import "io/fs"

// exposed reports whether somebody but the owner may use the file.
func exposed(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }
