package publisher

import "sync"

// Progress is how far a fetch is. The totals grow while results are read, and
// stand still once outputs are.
type Progress struct {
	Results    uint64 // read so far
	AllResults uint64 // of all levels, released or not
	Files      uint64 // outputs that are in the folder
	AllFiles   uint64
	Bytes      int64 // of them
	AllBytes   int64
	Reused     uint64 // of Files: were there already
}

// meter counts for one caller at a time.
type meter struct {
	mu   sync.Mutex
	now  Progress
	tell func(Progress)
}

func (m *meter) count(change func(*Progress)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.now)
	if m.tell != nil {
		m.tell(m.now)
	}
}
