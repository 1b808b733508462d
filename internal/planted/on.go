//go:build planted

package planted

import "os"

// Is reports whether a bug is in.
func Is(b Bug) bool { return os.Getenv("SHEAF_PLANTED") == string(b) }
