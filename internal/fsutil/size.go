package fsutil

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// Size is how many bytes the files in a folder have, all the way down. What
// goes away meanwhile counts for nothing.
func Size(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				size += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return size, err
}
