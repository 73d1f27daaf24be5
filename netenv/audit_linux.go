package netenv

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lastack/lastack/netenv/keeper"
	"github.com/lastack/lastack/netenv/keeper/hostinit"
)

// TakeAudit looks. It reads files under /proc and /sys and starts nothing.
func TakeAudit() (Audit, error) {
	a := Audit{Threads: map[string]int{}}
	var err error
	if a.Roles, err = roles(); err != nil {
		return a, err
	}
	tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil {
		return a, fmt.Errorf("audit threads: %w", err)
	}
	for _, task := range tasks {
		if net, err := os.Readlink(task); err == nil { // else it has just ended
			a.Threads[net]++
		}
	}
	links, err := os.ReadDir("/sys/class/net")
	if err != nil {
		return a, fmt.Errorf("audit links: %w", err)
	}
	for _, link := range links {
		a.Links = append(a.Links, link.Name())
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return a, fmt.Errorf("audit mounts: %w", err)
	}
	for line := range strings.Lines(string(mounts)) {
		a.Mounts = append(a.Mounts, strings.TrimSpace(line))
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return a, fmt.Errorf("audit descriptors: %w", err)
	}
	a.Files = len(files) - 1 // the directory's own
	return a, nil
}

// roles finds our processes by argv[0].
func roles() ([]string, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, fmt.Errorf("audit processes: %w", err)
	}
	var found []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		name, _, _ := strings.Cut(string(text), "\x00")
		if name == keeper.RoleKeeper || name == hostinit.Role {
			found = append(found, name+" "+filepath.Base(filepath.Dir(file)))
		}
	}
	slices.Sort(found)
	return found, nil
}
