package remote

import (
	"strings"
	"unicode"
)

// printable replaces what should not reach a terminal in a stranger's text.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, s)
}
