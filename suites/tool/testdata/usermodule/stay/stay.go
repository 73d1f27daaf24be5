// Package stay looks at where this process is, so that a suite can tell that a library has not moved it.
package stay

import (
	"os"
	"path/filepath"
	"slices"
)

// Place is where a process is.
type Place struct {
	Directory string
	// Namespaces are those of the process, by kind.
	Namespaces map[string]string
	// Networks are the network namespaces of its threads.
	Networks []string
}

// Here is where this process is now.
func Here() (Place, error) {
	p := Place{Namespaces: map[string]string{}}
	var err error
	if p.Directory, err = os.Getwd(); err != nil {
		return p, err
	}
	kinds, err := filepath.Glob("/proc/self/ns/*")
	if err != nil {
		return p, err
	}
	for _, kind := range kinds {
		if p.Namespaces[filepath.Base(kind)], err = os.Readlink(kind); err != nil {
			return p, err
		}
	}
	threads, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil {
		return p, err
	}
	for _, thread := range threads {
		net, err := os.Readlink(thread)
		if err == nil && !slices.Contains(p.Networks, net) { // else the thread has just ended
			p.Networks = append(p.Networks, net)
		}
	}
	return p, nil
}
