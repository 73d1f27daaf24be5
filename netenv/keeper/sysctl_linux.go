package keeper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const sysctlRoot = "/proc/sys/"

// sysctlPath is the file of a key. Only net.* has files of the namespace, and a
// key is names between dots: neither a slash nor an empty name ("..") gets through.
func sysctlPath(key string) (string, error) {
	names := strings.Split(key, ".")
	if len(names) < 2 || names[0] != "net" {
		return "", fmt.Errorf("sysctl %q: only keys under net. belong to a host", key)
	}
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, "/\x00") {
			return "", fmt.Errorf("sysctl %q: not a key: names between single dots", key)
		}
	}
	return sysctlRoot + strings.Join(names, "/"), nil
}

// readSysctl reads in the calling thread's namespace.
func readSysctl(key string) (string, error) {
	path, err := sysctlPath(key)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", at(StepSysctl, fmt.Errorf("read sysctl %s: %w", key, bare(err)))
	}
	return strings.Join(strings.Fields(string(text)), " "), nil
}

// writeSysctl writes in the calling thread's namespace. The write must be one
// system call, and it must not create anything.
func writeSysctl(key, value string) error {
	path, err := sysctlPath(key)
	if err != nil {
		return err
	}
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		_, err = unix.Write(fd, []byte(value))
		unix.Close(fd)
	}
	if err != nil {
		return at(StepSysctl, fmt.Errorf("set sysctl %s to %q: %w", key, value, err))
	}
	return nil
}

// changeSysctl writes and says what was there before.
func changeSysctl(s Sysctl) (SysctlChange, error) {
	change := SysctlChange{Key: s.Key}
	var err error
	if change.Before, err = readSysctl(s.Key); err != nil {
		return change, err
	}
	if err := writeSysctl(s.Key, s.Value); err != nil {
		return change, err
	}
	change.Value, err = readSysctl(s.Key)
	return change, err
}

// listSysctls names all keys that the calling thread's namespace has.
func listSysctls() ([]string, error) {
	var keys []string
	err := filepath.WalkDir(sysctlRoot+"net", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			keys = append(keys, strings.ReplaceAll(strings.TrimPrefix(path, sysctlRoot), "/", "."))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list sysctls: %w", err)
	}
	return keys, nil
}

// bare takes the path out of an error of package os: the key says it already.
func bare(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
