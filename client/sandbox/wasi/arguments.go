package wasi

// argsSizesGet(count *u32, bytes *u32)
func (s *System) argsSizesGet(c call) error { return putSizes(c, s.args) }

// environSizesGet(count *u32, bytes *u32): the environment is empty.
func (s *System) environSizesGet(c call) error { return putSizes(c, nil) }

// argsGet(pointers **u8, text *u8)
func (s *System) argsGet(c call) error { return putStrings(c, s.args) }

// environGet(pointers **u8, text *u8)
func (s *System) environGet(c call) error { return putStrings(c, nil) }

// textSize is the bytes of all strings, each with a zero byte at its end.
func textSize(list []string) int {
	n := 0
	for _, v := range list {
		n += len(v) + 1
	}
	return n
}

func putSizes(c call, list []string) error {
	count, err := c.result(0, 4)
	if err != nil {
		return err
	}
	bytes, err := c.result(1, 4)
	if err != nil {
		return err
	}
	put32(count, uint32(len(list)))
	put32(bytes, uint32(textSize(list)))
	return nil
}

func putStrings(c call, list []string) error {
	pointers, err := c.result(0, 4*len(list))
	if err != nil {
		return err
	}
	text, err := c.result(1, textSize(list))
	if err != nil {
		return err
	}
	at := 0
	for i, v := range list {
		put32(pointers[4*i:], c.u32(1)+uint32(at))
		at += copy(text[at:], v)
		text[at] = 0
		at++
	}
	return nil
}
