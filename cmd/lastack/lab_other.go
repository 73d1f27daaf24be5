//go:build !linux

package main

import (
	"context"
	"errors"

	"github.com/lastack/lastack/harness"
)

var errNotLinux = errors.New("labs stand on Linux only")

type lab struct{}

func openLab(string, *harness.Stage) (*lab, error) { return nil, errNotLinux }

func (*lab) close() {}

func holdDir() (string, func(), error) { return "", nil, errNotLinux }

func askLab(context.Context, string, request) (int, error) { return 0, errNotLinux }
