package keeper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// What a host's programs can write, at most.
const (
	tmpOptions = "mode=1777,size=128m,nr_inodes=32k"
	shmOptions = "mode=1777,size=64m,nr_inodes=4k"
)

// privatePlaces are covered by a tmpfs on each host that runs a user's programs,
// with its options.
var privatePlaces = []struct{ path, options string }{{"/tmp", tmpOptions}, {"/dev/shm", shmOptions}}

// A disk is what a host's programs wrote: the tmpfs mounts of a mount namespace of
// the host's own. It is kept until the lab ends, over power failures too, and goes
// with the keeper however that ends.
type disk struct {
	ns int // the mount namespace; −1 before the first program
	// shown are the caller's directories and files that lie where the disk covers
	// them and were brought through.
	shown []string
}

// mount takes the calling thread into the disk's mount namespace, which it makes
// the first time.
func (d *disk) mount(hosts string) error {
	if d.ns >= 0 {
		if err := d.enter(); err != nil {
			return err
		}
		// What the host's init of before mounted belongs to a pid namespace that has
		// ended. It lies above the keeper's own.
		_ = unix.Unmount("/sys", unix.MNT_DETACH) // it may not have been mounted
		if err := unix.Unmount("/proc", unix.MNT_DETACH); err != nil {
			return at(StepMount, fmt.Errorf("unmount /proc: %w", err))
		}
		return nil
	}
	if err := enterNewMounts(hosts); err != nil {
		return err
	}
	for _, place := range privatePlaces {
		err := unix.Mount("tmpfs", place.path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, place.options)
		if errors.Is(err, fs.ErrNotExist) && place.path != "/tmp" {
			continue
		}
		if err != nil {
			return at(StepMount, fmt.Errorf("mount a tmpfs on %s: %w", place.path, err))
		}
	}
	for _, dir := range []string{ProgramDir, ProgramHome} {
		err := os.Mkdir(dir, 0o755)
		if err == nil {
			err = os.Chmod(dir, 0o777|os.ModeSticky) // for servers that give up root too
		}
		if err != nil {
			return fmt.Errorf("make the programs' directory: %w", err)
		}
	}
	ns, err := unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open mount namespace: %w", err)
	}
	d.ns = ns
	return nil
}

// enter takes the calling thread into the disk's mount namespace, for good.
func (d *disk) enter() error {
	// A thread shares its root and directory with the others, and only one that
	// does not may go elsewhere.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return at(StepMount, fmt.Errorf("enter mount namespace: %w", err))
	}
	if err := unix.Setns(d.ns, unix.CLONE_NEWNS); err != nil {
		return at(StepMount, fmt.Errorf("enter mount namespace: %w", err))
	}
	return nil
}

// close gives the files back to the kernel.
func (d *disk) close() {
	if d.ns >= 0 {
		unix.Close(d.ns)
		d.ns = -1
	}
}

// behind are the names under which a path of the caller lies where the disk
// covers it: its own, and where its links lead to.
func behind(path string) []string {
	names := []string{filepath.Clean(path)}
	if real, err := filepath.EvalSymlinks(path); err == nil && real != names[0] {
		names = append(names, real)
	}
	return slices.DeleteFunc(names, func(name string) bool { root, _ := coveredBy(name); return root == "" })
}

// coveredBy is the private place in which a name lies, and what follows it in the
// name; empty where it lies in none.
func coveredBy(name string) (root, rest string) {
	for _, place := range privatePlaces {
		for _, root := range realAlso(place.path) {
			if name == root {
				return place.path, ""
			}
			if rest, is := strings.CutPrefix(name, root+"/"); is {
				return place.path, rest
			}
		}
	}
	return "", ""
}

// realAlso is a path, and where it leads to if that is another.
func realAlso(path string) []string {
	if real, err := filepath.EvalSymlinks(path); err == nil && real != path {
		return []string{path, real}
	}
	return []string{path}
}

// show brings a directory or file of the caller's through where the disk covers
// it; do runs a function in the disk's mount namespace. What does not exist is
// passed over: the program's start will say so.
func (d *disk) show(path string, do func(func() error) error) error {
	for _, name := range behind(path) {
		root, rest := coveredBy(name)
		names := []string{rest}
		if rest == "" {
			names = insideOf(root)
		}
		for _, rest := range names {
			if err := d.showOne(root, rest, do); err != nil {
				return fmt.Errorf("show %s/%s to a program: %w", root, rest, err)
			}
		}
	}
	return nil
}

// insideMost bounds what is brought through one by one.
const insideMost = 1024

// insideOf are the directories and files in a private place itself, which cannot
// be brought through as a whole: the place would not be private any more. Of very
// many those that changed last are taken.
func insideOf(root string) []string {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil
	}
	var inside []fs.FileInfo
	for _, e := range entries {
		path := filepath.Join(root, e.Name())
		if !e.IsDir() && !e.Type().IsRegular() || path == ProgramDir || path == ProgramHome {
			continue
		}
		if info, err := e.Info(); err == nil { // else it is gone
			inside = append(inside, info)
		}
	}
	slices.SortFunc(inside, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	var names []string
	for _, info := range inside[:min(len(inside), insideMost)] {
		names = append(names, info.Name())
	}
	return names
}

func (d *disk) showOne(root, rest string, do func(func() error) error) error {
	path := filepath.Join(root, rest)
	for _, shown := range d.shown {
		if path == shown || strings.HasPrefix(path, shown+"/") {
			return nil
		}
	}
	// This thread still sees what the disk covers.
	tree, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EACCES):
		return nil
	case err != nil:
		return at(StepMount, fmt.Errorf("open_tree: %w", err))
	}
	defer unix.Close(tree)
	var st unix.Stat_t
	if err := unix.Fstat(tree, &st); err != nil {
		return err
	}
	err = do(func() error { return attach(tree, root, rest, st.Mode&unix.S_IFMT == unix.S_IFDIR) })
	if err == nil {
		d.shown = append(d.shown, path)
	}
	return err
}

// attach mounts a tree below root. No link is followed there, as programs of
// before may have written one.
func attach(tree int, root, rest string, isDir bool) error {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { unix.Close(dir) }()
	parts := strings.Split(rest, "/")
	for i, part := range parts {
		flags := unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
		if i < len(parts)-1 || isDir {
			flags |= unix.O_DIRECTORY
			err = unix.Mkdirat(dir, part, 0o755)
		} else {
			var file int
			if file, err = unix.Openat(dir, part, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644); err == nil {
				unix.Close(file)
			}
		}
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
		next, err := unix.Openat(dir, part, flags, 0)
		if err != nil {
			return err
		}
		unix.Close(dir)
		dir = next
	}
	err = unix.MoveMount(tree, "", dir, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return at(StepMount, fmt.Errorf("move_mount: %w", err))
	}
	return nil
}
