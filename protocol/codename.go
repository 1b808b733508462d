package protocol

// String is the code in a word that programs may compare, such as "overloaded".
func (c Code) String() string {
	names := [...]string{
		"ok", "malformed", "too_large", "bad_signature", "wrong_cluster", "unknown_key", "already_done", "reused_number", "session",
		"not_allowed", "not_found", "conflict", "invalid", "overloaded", "no_leader", "no_space", "version", "missing_blob", "internal",
	}
	if int(c) < len(names) {
		return names[c]
	}
	return "unknown"
}
