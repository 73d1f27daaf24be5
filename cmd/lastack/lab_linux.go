package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lastack/lastack/harness"
)

// lab serves lastack exec for a stage whose play is over.
type lab struct {
	stage    *harness.Stage
	listener *net.UnixListener
	ctx      context.Context
	cancel   context.CancelFunc
	all      sync.WaitGroup
}

// maxRequest is the longest message; the kernel refuses longer ones earlier.
const maxRequest = 128 << 10

func openLab(dir string, s *harness.Stage) (*lab, error) {
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: filepath.Join(dir, controlName), Net: "unixpacket"})
	if err != nil {
		return nil, fmt.Errorf("listen in %s: %w", dir, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	lab := &lab{stage: s, listener: l, ctx: ctx, cancel: cancel}
	lab.all.Go(lab.serve)
	return lab, nil
}

// close ends what still runs.
func (l *lab) close() {
	l.listener.Close()
	l.cancel()
	l.all.Wait()
}

func (l *lab) serve() {
	for {
		conn, err := l.listener.AcceptUnix()
		if err != nil {
			return // closed
		}
		l.all.Go(func() { l.answer(conn) })
	}
}

// answer runs one command, and ends it where who asked goes away.
func (l *lab) answer(conn *net.UnixConn) {
	defer conn.Close()
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	req, files, err := receive(conn)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err != nil {
		reply(conn, answer{Error: err.Error()})
		return
	}
	go func() {
		defer cancel()
		conn.Read(make([]byte, 1)) // nothing more is said: it ends with the other end
	}()
	out := answer{}
	host := hostOf(l.stage, req.Host)
	if host == nil {
		out.Error = fmt.Sprintf("there is no host %q", req.Host)
	} else if exit, signal, err := host.Exec(ctx, harness.ProgramSpec{Argv: req.Argv}, files); err != nil {
		out.Error = err.Error()
	} else {
		out.Exit, out.Signal = exit, int(unix.SignalNum(signal))
	}
	reply(conn, out)
}

func hostOf(s *harness.Stage, name string) *harness.Host {
	for _, h := range []*harness.Host{s.Client, s.Server} {
		if h.Name() == name {
			return h
		}
	}
	return nil
}

// receive takes a request and its three descriptors.
func receive(conn *net.UnixConn) (request, []*os.File, error) {
	var req request
	data, rights := make([]byte, maxRequest), make([]byte, unix.CmsgSpace(8*4))
	n, m, flags, _, err := conn.ReadMsgUnix(data, rights)
	if err != nil {
		return req, nil, fmt.Errorf("read request: %w", err)
	}
	var files []*os.File
	messages, err := unix.ParseSocketControlMessage(rights[:m])
	if err != nil {
		return req, nil, fmt.Errorf("read request: %w", err)
	}
	for _, message := range messages {
		descriptors, err := unix.ParseUnixRights(&message)
		if err != nil {
			return req, files, fmt.Errorf("read request: %w", err)
		}
		for _, d := range descriptors {
			unix.CloseOnExec(d)
			files = append(files, os.NewFile(uintptr(d), "descriptor"))
		}
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 || len(files) != 3 {
		return req, files, errors.New("read request: it was cut")
	}
	if err := json.Unmarshal(data[:n], &req); err != nil {
		return req, files, fmt.Errorf("read request: %w", err)
	}
	return req, files, nil
}

func reply(conn *net.UnixConn, a answer) {
	data, err := json.Marshal(a)
	if err == nil {
		conn.Write(data) // who asked may be gone
	}
}

// askLab has a lab that stands run a command with this process's stdin, stdout and
// stderr, and returns its exit status.
func askLab(ctx context.Context, dir string, req request) (int, error) {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return 0, fmt.Errorf("exec in %q: no lab stands there; lastack try --keep names the directory", dir)
	}
	name := filepath.Join(dir, controlName)
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: name, Net: "unixpacket"})
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return 0, fmt.Errorf("exec in %q: nobody is there any more: the lastack try that made it was killed; remove the directory", dir)
	case errors.Is(err, fs.ErrNotExist):
		return 0, fmt.Errorf("exec in %q: no lab stands there; lastack try --keep names the directory", dir)
	case errors.Is(err, fs.ErrPermission):
		return 0, fmt.Errorf("exec in %q: it belongs to another user", dir)
	case err != nil:
		return 0, fmt.Errorf("exec in %q: %w", dir, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	data, err := json.Marshal(req)
	if err != nil {
		return 0, err
	}
	rights := unix.UnixRights(0, 1, 2)
	if len(data) > maxRequest {
		return 0, errors.New("exec: the command is too long")
	}
	if _, _, err := conn.WriteMsgUnix(data, rights, nil); err != nil {
		return 0, fmt.Errorf("exec in %q: %w", dir, err)
	}
	buffer := make([]byte, 64<<10)
	n, err := conn.Read(buffer)
	if err != nil || n == 0 {
		if ctx.Err() != nil {
			return 0, interrupted("the command was ended")
		}
		return 0, fmt.Errorf("exec in %q: the lab ended before the command did", dir)
	}
	var a answer
	if err := json.Unmarshal(buffer[:n], &a); err != nil {
		return 0, fmt.Errorf("exec in %q: %w", dir, err)
	}
	switch {
	case a.Error != "":
		return 0, fmt.Errorf("exec in %q: %s", dir, a.Error)
	case a.Signal != 0:
		return 128 + a.Signal, nil
	}
	return a.Exit, nil
}
