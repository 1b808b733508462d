package publisher

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/sheafgrid/sheaf/task"
)

// ManifestFormat is the version of the folder's format that this program
// writes, and the only one that it reads.
const ManifestFormat = 1

// maxManifest bounds a manifest in bytes: a specification of protocol.MaxSpec
// becomes at most six times as long as JSON.
const maxManifest = 4 << 20

// ErrManifest is wrapped by the error about a manifest that cannot be read.
var ErrManifest = errors.New("manifest cannot be read")

// The values of Manifest.Outputs.
const (
	OutputsAll     = "all"     // of level 0, and of the last level of a reduction
	OutputsReduced = "reduced" // of the last level of a reduction alone
)

// Manifest says what a fetched folder holds. It is JSON in one form: with the
// keys in this order, indented by two spaces, and a newline at the end.
type Manifest struct {
	Format     int             `json:"format"`
	Finished   bool            `json:"finished"` // false while a fetch is under way, or was interrupted
	Cluster    task.ClusterID  `json:"cluster"`
	Job        task.JobID      `json:"job"`
	Name       string          `json:"name"`
	Project    string          `json:"project"`
	Publisher  task.Key        `json:"publisher"`
	State      string          `json:"state"`   // of the job when it was fetched: running, done, cancelled
	Outputs    string          `json:"outputs"` // whose outputs are here: OutputsAll, OutputsReduced
	ResultRoot task.Digest     `json:"result_root,omitzero"`
	ReduceRoot task.Digest     `json:"reduce_root,omitzero"`
	Levels     []ManifestLevel `json:"levels"` // none before Finished
	SpecDigest task.Digest     `json:"spec_digest"`
	Spec       SpecText        `json:"spec"`

	// Checksum is the SHA-256 of the manifest with 64 zeros in its place.
	Checksum string `json:"checksum"`
}

// ManifestLevel says what a folder holds of one level.
type ManifestLevel struct {
	Level    uint8       `json:"level"`
	Tasks    uint64      `json:"tasks"`
	Released uint64      `json:"released"` // with a result here
	Failed   uint64      `json:"failed"`   // of the released ones
	Root     task.Digest `json:"root,omitzero"`
	Results  string      `json:"results"` // name of the file
	Digest   task.Digest `json:"digest"`  // of the file
	Bytes    int64       `json:"bytes"`   // of the file
}

// Complete reports whether every task of every level has its result.
func (m *Manifest) Complete() bool {
	for _, l := range m.Levels {
		if l.Released != l.Tasks {
			return false
		}
	}
	return m.Finished
}

func (m *Manifest) onlyReduced() bool { return m.Outputs == OutputsReduced }

var noChecksum = strings.Repeat("0", 64)

// encode is the manifest's one form, with its checksum.
func (m *Manifest) encode() ([]byte, error) {
	bare := *m
	bare.Checksum = noChecksum
	b, err := encodeJSON(&bare)
	if err != nil {
		return nil, err
	}
	at := bytes.LastIndex(b, []byte(noChecksum))
	copy(b[at:], task.Sum(b).String())
	return b, nil
}

func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}

// decodeManifest reads a manifest. damaged says why its bytes are not those
// that were written, although it can be read; err that it cannot.
func decodeManifest(b []byte) (m *Manifest, damaged, err error) {
	var probe struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &probe); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if probe.Format > ManifestFormat {
		return nil, nil, fmt.Errorf("%w: it has format %d, this program reads format %d; use a newer one", ErrManifest, probe.Format, ManifestFormat)
	}
	m = &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if m.Format != ManifestFormat {
		return nil, nil, fmt.Errorf("%w: it has format %d, want %d", ErrManifest, m.Format, ManifestFormat)
	}
	want, err := m.encode()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if !bytes.Equal(b, want) {
		damaged = errors.New("its bytes do not give the checksum that it ends with")
	}
	return m, damaged, m.check()
}

// check refuses what contradicts itself.
func (m *Manifest) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrManifest, fmt.Sprintf(format, args...))
	}
	if m.Outputs != OutputsAll && m.Outputs != OutputsReduced {
		return bad("outputs: %q is neither %s nor %s", clip(m.Outputs), OutputsAll, OutputsReduced)
	}
	if !m.Finished {
		return nil
	}
	if len(m.Levels) == 0 {
		return bad("it names no levels")
	}
	for i, l := range m.Levels {
		switch {
		case int(l.Level) != i || l.Results != resultsName(l.Level):
			return bad("level %d is where level %d should be, or names another file", l.Level, i)
		case l.Tasks == 0 || l.Tasks > task.MaxTasks || l.Released > l.Tasks || l.Failed > l.Released || l.Bytes < 0:
			return bad("level %d: %d of %d tasks released, %d failed, cannot be", i, l.Released, l.Tasks, l.Failed)
		case l.Root.IsZero() == (l.Released == l.Tasks):
			return bad("level %d: a root belongs to it exactly when all its tasks are released", i)
		}
	}
	last := m.Levels[len(m.Levels)-1]
	if m.ResultRoot != m.Levels[0].Root || last.Level > 0 && m.ReduceRoot != last.Root || last.Level == 0 && !m.ReduceRoot.IsZero() {
		return bad("its roots are not those of its levels")
	}
	return nil
}

// readManifest reads the manifest of a folder. It is fs.ErrNotExist where there
// is none.
func readManifest(root *os.Root) (m *Manifest, damaged, err error) {
	b, err := readRegular(root, manifestName, maxManifest)
	if err != nil {
		return nil, nil, err
	}
	return decodeManifest(b)
}
