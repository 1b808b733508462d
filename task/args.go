package task

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// placeholder is a name that arguments may use, and how many bytes its longest
// value has.
type placeholder struct {
	name  string
	width int
}

// numberWidth is the length of the longest 64-bit integer, its sign included.
const numberWidth = 20

// validateArgs checks that arguments can be expanded: every {placeholder} is
// known, and no task's arguments grow beyond their bound.
func validateArgs(field string, args []string, known []placeholder) error {
	if len(args) > MaxArgs {
		return refuse("%s: %d arguments, at most %d are allowed", field, len(args), MaxArgs)
	}
	total := 0
	for i, a := range args {
		if !utf8.ValidString(a) || strings.ContainsRune(a, 0) {
			return refuse("%s[%d]: want text without zero bytes", field, i)
		}
		var bad error
		walkArg(a, func(literal string) { total += len(literal) }, func(name string, closed bool) {
			k := slices.IndexFunc(known, func(p placeholder) bool { return p.name == name })
			switch {
			case bad != nil:
			case !closed:
				bad = refuse("%s[%d] %q: a { is never closed; write {{ for a brace itself", field, i, clip(a))
			case k < 0:
				bad = refuse("%s[%d]: {%s} is not known; known here are %s; write {{ for a brace itself",
					field, i, clip(name), placeholderNames(known))
			default:
				total += known[k].width
			}
		})
		if bad != nil {
			return bad
		}
	}
	if total > MaxArgBytes {
		return refuse("%s: up to %d bytes a task, at most %d are allowed; put long ones into an input file", field, total, MaxArgBytes)
	}
	return nil
}

func placeholderNames(known []placeholder) string {
	names := make([]string, len(known))
	for i, p := range known {
		names[i] = "{" + p.name + "}"
	}
	return strings.Join(names, ", ")
}

// expandArgs replaces {name} by its value, which value appends, and {{ and }} by
// single braces. Arguments were validated before.
func expandArgs(args []string, value func(b []byte, name string) []byte) []string {
	out := make([]string, len(args))
	var room [64]byte
	for i, a := range args {
		if !strings.ContainsAny(a, "{}") {
			out[i] = a
			continue
		}
		b := room[:0]
		walkArg(a, func(literal string) { b = append(b, literal...) }, func(name string, _ bool) { b = value(b, name) })
		out[i] = string(b)
	}
	return out
}

// walkArg takes an argument apart into literal text and placeholders. closed
// is false for a { that has no }.
func walkArg(a string, literal func(string), placeholder func(name string, closed bool)) {
	for a != "" {
		i := strings.IndexAny(a, "{}")
		if i < 0 {
			literal(a)
			return
		}
		literal(a[:i])
		a = a[i:]
		switch {
		case strings.HasPrefix(a, "{{"), strings.HasPrefix(a, "}}"):
			literal(a[:1])
			a = a[2:]
		case a[0] == '}':
			literal("}")
			a = a[1:]
		default:
			name, rest, closed := strings.Cut(a[1:], "}")
			placeholder(name, closed)
			a = rest
		}
	}
}
