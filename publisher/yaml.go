package publisher

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sheafgrid/sheaf/task"
)

// yamlReader takes a job file's YAML apart and collects what is wrong with it,
// so that its author sees all mistakes at once. Its methods return zero values
// for what they complain about.
type yamlReader struct {
	lines    map[string]int // where each key is, by its path: "check.replicate", "args[2]"
	mistakes []Mistake
}

func (r *yamlReader) fail(line int, format string, args ...any) {
	r.mistakes = append(r.mistakes, Mistake{Line: line, Text: fmt.Sprintf(format, args...)})
}

// document reads the one document of a file. It returns nil where nothing
// further can be said.
func (r *yamlReader) document(b []byte) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(b))
	var doc yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0:
		r.fail(0, "the file is empty; write at least\n%s", exampleJob)
		return nil
	case err != nil:
		r.fail(syntaxError(err))
		return nil
	}
	var second yaml.Node
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		if err != nil {
			r.fail(syntaxError(err))
		} else {
			r.fail(second.Line, "a second document begins here; a file holds one job, so write another file for the other one")
		}
		return nil
	}
	before := len(r.mistakes)
	r.plain(&doc)
	if len(r.mistakes) > before {
		return nil
	}
	return doc.Content[0]
}

// syntaxError takes the line out of the YAML library's message.
func syntaxError(err error) (line int, format, text string) {
	text = strings.TrimPrefix(err.Error(), "yaml: ")
	if n, _ := fmt.Sscanf(text, "line %d:", &line); n == 1 {
		_, text, _ = strings.Cut(text, ": ")
	}
	if strings.Contains(text, "cannot start any token") {
		text += "; indent with spaces, not with tabs, and put text that begins with @ or ` into quotes"
	}
	return line, "this is not YAML: %s", text
}

// plain refuses what a job file does not need and what could make it mean more
// than it shows: anchors, aliases and tags.
func (r *yamlReader) plain(n *yaml.Node) {
	switch {
	case len(r.mistakes) > maxMistakes:
	case n.Kind == yaml.AliasNode:
		r.fail(n.Line, "*%s: job files have no aliases; write the value out", clip(n.Value))
	case n.Anchor != "":
		r.fail(n.Line, "&%s: job files have no anchors; remove it", clip(n.Anchor))
	case n.Style&yaml.TaggedStyle != 0:
		r.fail(n.Line, "%s: job files have no tags; put the value into quotes if it is text", clip(n.Tag))
	default:
		for _, c := range n.Content {
			r.plain(c)
		}
	}
}

// field is one key of a mapping with its value.
type field struct {
	name  string
	value *yaml.Node
}

// fields are a mapping's keys in their order. A nil node has none.
func (r *yamlReader) fields(path string, n *yaml.Node, example string) []field {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.wrong(path, n, "a mapping, such as "+example)
		return nil
	}
	var out []field
	first := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.ShortTag() == "!!merge" {
			r.fail(k.Line, "%sa key must be plain text", prefix(path))
			continue
		}
		if line, twice := first[k.Value]; twice {
			r.fail(k.Line, "%s is given twice, first in line %d; keep one of them", quoteKey(path, k.Value), line)
			continue
		}
		first[k.Value] = k.Line
		r.lines[join(path, k.Value)] = k.Line
		out = append(out, field{k.Value, v})
	}
	return out
}

// keys are the values of a mapping of which all keys are known.
func (r *yamlReader) keys(path string, n *yaml.Node, example string, known ...string) map[string]*yaml.Node {
	values := map[string]*yaml.Node{}
	for _, f := range r.fields(path, n, example) {
		if slices.Contains(known, f.name) {
			values[f.name] = f.value
			continue
		}
		if len(r.mistakes) > maxMistakes {
			break
		}
		meant := "known here are " + strings.Join(known, ", ")
		if k := nearest(f.name, known); k != "" {
			meant = fmt.Sprintf("did you mean %q?", k)
		}
		r.fail(r.lines[join(path, f.name)], "%s is not known; %s", quoteKey(path, f.name), meant)
	}
	return values
}

// list are the elements of a list. A nil node has none.
func (r *yamlReader) list(path string, n *yaml.Node, example string) []*yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.wrong(path, n, "a list, such as "+example)
		return nil
	}
	for i, c := range n.Content {
		r.lines[fmt.Sprintf("%s[%d]", path, i)] = c.Line
	}
	return n.Content
}

// text is a value as it is spelled: numbers keep their zeros.
func (r *yamlReader) text(path string, n *yaml.Node, example string) string {
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" && n.Style == 0 {
		r.wrong(path, n, "text, such as "+example)
		return ""
	}
	return n.Value
}

// texts is a list of values as they are spelled.
func (r *yamlReader) texts(path string, n *yaml.Node, example string) []string {
	var out []string
	for i, c := range r.list(path, n, example) {
		out = append(out, r.text(fmt.Sprintf("%s[%d]", path, i), c, example))
	}
	return out
}

// whole is a whole number between two bounds, both allowed.
func (r *yamlReader) whole(path string, n *yaml.Node, low, high *big.Int, example string) *big.Int {
	want := "a whole number, such as " + example
	if n.Kind != yaml.ScalarNode {
		r.wrong(path, n, want)
		return new(big.Int)
	}
	v, err := wholeNumber(n.Value, 1)
	if err != nil {
		r.wrong(path, n, want)
		return new(big.Int)
	}
	if v.Cmp(low) < 0 || v.Cmp(high) > 0 {
		r.fail(n.Line, "%s: %s is out of range; allowed are %s to %s", path, clip(n.Value), low, high)
		return new(big.Int)
	}
	return v
}

func (r *yamlReader) signed(path string, n *yaml.Node, missing int64, example string) int64 {
	if n == nil {
		return missing
	}
	return r.whole(path, n, big.NewInt(-1<<63), big.NewInt(1<<63-1), example).Int64()
}

func (r *yamlReader) unsigned(path string, n *yaml.Node, missing, high uint64, example string) uint64 {
	if n == nil {
		return missing
	}
	return r.whole(path, n, new(big.Int), new(big.Int).SetUint64(high), example).Uint64()
}

// amount is a number with a unit, read by parse.
func (r *yamlReader) amount(path string, n *yaml.Node, parse func(string) (uint64, error), missing uint64, want string) uint64 {
	if n == nil {
		return missing
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		r.wrong(path, n, want)
		return missing
	}
	v, err := parse(n.Value)
	if err != nil {
		r.fail(n.Line, "%s: %s cannot be read: %v; want %s", path, found(n), err, want)
		return missing
	}
	return v
}

func (r *yamlReader) duration(path string, n *yaml.Node, missing task.Millis) task.Millis {
	parse := func(s string) (uint64, error) {
		d, err := parseDuration(s)
		return uint64(d), err
	}
	return task.Millis(r.amount(path, n, parse, uint64(missing), "a time, such as 10m, 1h30m or 2d"))
}

func (r *yamlReader) wrong(path string, n *yaml.Node, want string) {
	if path == "" {
		path = "the file"
	}
	r.fail(n.Line, "%s: found %s, want %s", path, found(n), want)
}

// found says what stands where something else was wanted.
func found(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "the number " + clip(n.Value)
	}
	return fmt.Sprintf("the text %q", clip(n.Value))
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func quoteKey(path, key string) string { return fmt.Sprintf("%q", clip(join(path, key))) }

func prefix(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}
