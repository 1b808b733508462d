package publisher

import (
	"bytes"
)

// What fuzz targets and tables need to reach directly.
var (
	ParseJobFile  = parseJobFile
	ParseDuration = parseDuration
	AppName       = appName
)

// DecodeManifest reads a manifest, and says whether it was altered.
func DecodeManifest(b []byte) (m *Manifest, damaged, err error) { return decodeManifest(b) }

// Encode is the manifest's one form.
func (m *Manifest) Encode() ([]byte, error) { return m.encode() }

// ReadResults reads a file of results of a level with that many tasks.
func ReadResults(b []byte, tasks uint64) (lines []ResultLine, err error) {
	_, err = tallyResults(bytes.NewReader(b), tasks, func(l *ResultLine) error {
		lines = append(lines, *l)
		return nil
	})
	return lines, err
}

// EncodeResults is what a fetch writes of results.
func EncodeResults(lines []ResultLine) []byte {
	var b bytes.Buffer
	for i := range lines {
		if err := lines[i].encode(&b); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

// MaxResultLine bounds a line.
const MaxResultLine = maxResultLine

// WholeNumber reads an integer as it is spelled.
func WholeNumber(s string) (string, error) {
	v, err := wholeNumber(s, 1)
	if err != nil {
		return "", err
	}
	return v.String(), nil
}
