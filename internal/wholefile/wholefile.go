// Package wholefile writes files that get their name only once they are whole.
package wholefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Write writes a file that gets its name only once content has written all of it,
// and replaces an earlier one of that name. Until then it lies beside it, under a
// name that nothing else has: where two write at once each file is whole, and the
// later one stays. Its mode is 0644, less the umask. After an error nothing is
// left, and an earlier file is as it was; the error is content's own or one of
// package os.
func Write(path string, content func(io.Writer) error) error {
	f, err := create(filepath.Dir(path))
	if err != nil {
		return err
	}
	err = content(f)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name()) // the reason why counts more
	}
	return err
}

// create makes a file of a name that is not there. os.CreateTemp would let nobody
// but its owner read it, and a mode that is set later knows no umask.
func create(dir string) (*os.File, error) {
	for range 1000 {
		name := filepath.Join(dir, fmt.Sprintf(".lastack-%016x", rand.Uint64()))
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
	return nil, fmt.Errorf("no name is free in %s", dir)
}
