package wasm

// Strip returns the module without its custom sections: debug information,
// names and notes of tools, which no program can see. Everything else stays as
// it is, so that two builds that differ only there become the same bytes.
// Errors are those of Inspect.
func Strip(module []byte) ([]byte, error) {
	m, err := read(module)
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, len(module)), module[:8]...)
	for _, s := range m.sections {
		out = appendSection(out, s.id, module[s.from:s.to])
	}
	return out, nil
}
