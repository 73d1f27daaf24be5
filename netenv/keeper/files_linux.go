package keeper

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The bounds of one search: descriptors that fit into one message, and names that
// are looked at, beyond which it is an error: what was not found might be there.
const (
	filesMost = 200
	namesMost = 100_000
)

// files opens the regular files of the disk that match absolute globs. Whoever
// wrote them may be hostile: no link is followed, nothing but a regular file is
// opened, and the search is bounded.
func (d *disk) files(globs []string) (Found, []int, error) {
	if d.ns < 0 {
		return Found{}, nil, nil
	}
	var f finder
	a := startAgent(netns.None())
	defer a.end()
	err := a.do(func() error {
		if err := d.enter(); err != nil {
			return err
		}
		for _, glob := range globs {
			base, rest := coveredBy(glob)
			if base == "" {
				base, rest = "/", strings.TrimPrefix(glob, "/")
			}
			root, err := unix.Open(base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("find files: %w", err)
			}
			f.find(root, base, strings.Split(rest, "/"))
			unix.Close(root)
		}
		if f.looked > namesMost {
			return fmt.Errorf("find files: the globs lead to more than %d names: write narrower ones", namesMost)
		}
		return nil
	})
	if err != nil {
		closeAll(f.fds)
		return Found{}, nil, err
	}
	return Found{Names: f.names, More: f.more}, f.fds, nil
}

// A finder collects files.
type finder struct {
	names  []string
	fds    []int
	more   int
	looked int
}

// find looks below an open directory. What cannot be opened is not there.
func (f *finder) find(dir int, name string, parts []string) {
	candidates := []string{parts[0]}
	if strings.ContainsAny(parts[0], `*?[\`) {
		candidates = f.list(dir)
	}
	for _, c := range candidates {
		if ok, err := path.Match(parts[0], c); (err != nil || !ok) && c != parts[0] {
			continue
		}
		full := path.Join(name, c)
		var st unix.Stat_t
		if unix.Fstatat(dir, c, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		if len(parts) > 1 {
			below, err := unix.Openat(dir, c, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			if err != nil {
				continue
			}
			f.find(below, full, parts[1:])
			unix.Close(below)
			continue
		}
		if st.Mode&unix.S_IFMT == unix.S_IFREG && !slices.Contains(f.names, full) {
			f.take(dir, c, full)
		}
	}
}

// take opens a file, which may have been replaced since it was looked at.
func (f *finder) take(dir int, name, full string) {
	if len(f.fds) == filesMost {
		f.more++
		return
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return
	}
	f.names = append(f.names, full)
	f.fds = append(f.fds, fd)
}

// list are the names in a directory, in order.
func (f *finder) list(dir int) []string {
	fd, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	file := os.NewFile(uintptr(fd), "directory")
	defer file.Close()
	left := namesMost + 1 - f.looked
	if left <= 0 {
		return nil
	}
	names, _ := file.Readdirnames(left) // what could be read counts
	f.looked += len(names)
	slices.Sort(names)
	return names
}
