package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// outputs are the places outside stdout where a run leaves something. They are
// proved before anything is played, and what proving made is taken away again
// where nothing was.
type outputs struct {
	dir   string // of evidence; "" for none
	junit string // "" for none
	made  []string
}

// prepare proves that the directory of evidence and the JUnit file can be
// written.
func prepare(dir, junit string) (*outputs, error) {
	o := &outputs{dir: dir}
	if dir != "" {
		err := o.makeDir(filepath.Clean(dir))
		if err == nil {
			err = writable(dir)
		}
		if err != nil {
			o.retreat()
			return nil, fmt.Errorf("--out %q: %w", dir, reason(err))
		}
	}
	if junit != "" {
		var err error
		if o.junit, err = junitTarget(junit); err != nil {
			o.retreat()
			return nil, fmt.Errorf("--junit %q: %w", junit, reason(err))
		}
	}
	return o, nil
}

// retreat removes the directories that prepare made, where they are still
// empty.
func (o *outputs) retreat() {
	for i := len(o.made) - 1; i >= 0; i-- {
		if os.Remove(o.made[i]) != nil {
			return
		}
	}
}

// makeDir makes a directory and those above it, and notes which.
func (o *outputs) makeDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return errors.New("it is there and is no directory")
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := o.makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o777); err != nil {
		return err
	}
	o.made = append(o.made, dir)
	return nil
}

// writable proves that files can be made in a directory: permissions do not
// tell it on a read-only file system.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".lastack-*")
	if err != nil {
		return err
	}
	f.Close()
	return os.Remove(f.Name())
}

// junitTarget is the file that will be replaced. A link leads to its file; a
// device or a pipe must not be replaced by a file.
func junitTarget(name string) (string, error) {
	if name == "-" {
		return "", errors.New("stdout holds the result; name a file")
	}
	target := name
	if info, err := os.Stat(name); err == nil {
		switch {
		case info.IsDir():
			return "", errors.New("it is a directory")
		case !info.Mode().IsRegular():
			return "", errors.New("it is no regular file")
		case isStdout(info):
			return "", errors.New("it is where stdout goes, which holds the result")
		}
		if target, err = filepath.EvalSymlinks(name); err != nil {
			return "", err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	} else if _, err := os.Lstat(name); err == nil {
		return "", errors.New("it is a link to a file that is not there")
	}
	return target, writable(filepath.Dir(target))
}

// isStdout tells /dev/stdout, and the file to which stdout was redirected: it
// would be replaced under the hands of who writes the result.
func isStdout(info os.FileInfo) bool {
	out, err := os.Stdout.Stat()
	return err == nil && os.SameFile(info, out)
}

// reason takes operation and path out of an error of package os: who is told
// knows the path already.
func reason(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
