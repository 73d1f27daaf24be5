package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// roleGuard is the name under which this binary keeps a directory of a lab that
// stands, and takes it away when its caller is gone, also where that was killed.
const roleGuard = "lastack-guard"

func init() {
	if len(os.Args) == 1 && os.Args[0] == roleGuard {
		if err := guard(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// guard makes a directory, tells its name, which ends with that stream, and removes
// it when the caller's end of the other closes.
func guard(caller io.Reader, name io.WriteCloser) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
	temp, err := filepath.Abs(os.TempDir()) // lastack exec may be called from elsewhere
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(temp, "lastack-lab-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	_, err = io.WriteString(name, dir)
	if closed := name.Close(); err == nil {
		err = closed
	}
	if err == nil {
		_, err = io.Copy(io.Discard, caller)
	}
	return err
}

// holdDir has a guard make a directory, which is gone after release, or when this
// process ends in whatever way.
func holdDir() (dir string, release func(), err error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{roleGuard}
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // out of reach of the terminal
	alive, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	told, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	release = func() {
		alive.Close()
		_ = cmd.Wait() // who could not remove it has said so to nobody
	}
	if _, err := stdout.ReadFrom(told); err != nil || stdout.Len() == 0 {
		release()
		return "", nil, errors.New("make a directory: " + strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), release, nil
}
