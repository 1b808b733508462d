package state

// newAttempt takes the lowest free slot (R3: see newSession), under a serial
// number that tells the attempt from those that had the slot before, and from
// those of a history that a restored backup does not know (Renew): they count
// all attempts, so that a slot need not remember them.
func (s *State) newAttempt(a Attempt) (slot uint32) {
	s.cluster.Attempts++
	s.cluster.Serials++
	a.Serial = uint32(s.cluster.Serials)
	i, ok := s.index.freeAttempts.next(0)
	if !ok {
		i = s.attempts.Len()
		s.addSlots()
	}
	s.index.freeAttempts.set(i, false)
	s.attempts.refill(i)
	*s.attempts.Edit(i) = a
	return uint32(i)
}

// addSlots makes a page of free slots. Slot 0 is none.
func (s *State) addSlots() {
	first := s.attempts.Len()
	s.attempts.addPage()
	for i := max(1, first); i < s.attempts.Len(); i++ {
		s.index.freeAttempts.set(i, true)
	}
}

// freeSlot gives a slot back. A page of which every slot is free goes, so that
// memory follows the live work down as well as up; it is made again when one of
// its slots is taken. Slot 0 is never free, so the first page stays.
func (s *State) freeSlot(slot uint64) {
	*s.attempts.Edit(slot) = Attempt{}
	free := &s.index.freeAttempts
	free.set(slot, true)
	first := slot / pageSize * pageSize
	if !free.full(first, first+pageSize) {
		return
	}
	s.attempts.drop(first, first+pageSize)
	before := s.attempts.Len()
	s.attempts.trim()
	for i := s.attempts.Len(); i < before; i++ {
		free.set(i, false) // beyond the end, slots are made anew
	}
}

// eachAttempt calls fn for each attempt that has a slot, in the order of slots.
func (s *State) eachAttempt(fn func(slot uint64, a *Attempt)) {
	for i := uint64(1); i < s.attempts.Len(); i++ {
		if !s.attempts.Has(i) {
			i |= pageSize - 1 // the last of a page that was dropped
			continue
		}
		if a := s.attempts.At(i); a.State != AttemptNone {
			fn(i, a)
		}
	}
}
