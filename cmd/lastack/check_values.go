package main

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/lastack/lastack/harness/check"
	"github.com/lastack/lastack/harness/file"
)

// command is the value of a flag that takes a command: what was written, and its
// words.
type command struct {
	text  string
	words []string
}

// String is the command as it was written.
func (c *command) String() string { return c.text }

// Set takes the command from the command line.
func (c *command) Set(text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("the command is empty")
	}
	words, err := file.Words(text)
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "read command: "))
	}
	*c = command{text, words}
	return nil
}

// Type is what help calls the value.
func (c *command) Type() string { return "CMD" }

// texts is the value of a flag that may be given again. An empty one is refused, as
// in pathValue.
type texts struct {
	list []string
	kind string
}

// of says what help calls the value.
func (t *texts) of(kind string) *texts {
	t.kind = kind
	return t
}

// String is "".
func (t *texts) String() string { return "" }

// Set takes one more from the command line.
func (t *texts) Set(text string) error {
	if text == "" {
		return errors.New("it is empty")
	}
	t.list = append(t.list, text)
	return nil
}

// Type is what help calls the value.
func (t *texts) Type() string { return t.kind }

// sideValue is the value of --under-test.
type sideValue string

// String is the side.
func (s *sideValue) String() string { return string(*s) }

// Set takes the side from the command line.
func (s *sideValue) Set(text string) error {
	switch text {
	case check.Client, check.Server, check.Both:
		*s = sideValue(text)
		return nil
	}
	return errors.New("it is client, server or both")
}

// Type is what help calls the value.
func (s *sideValue) Type() string { return "SIDE" }

// seedValue is the value of --seed.
type seedValue uint64

// String is the number.
func (s *seedValue) String() string { return strconv.FormatUint(uint64(*s), 10) }

// Set takes the number from the command line.
func (s *seedValue) Set(text string) error {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return errors.New("it takes a whole number from 0 on")
	}
	*s = seedValue(n)
	return nil
}

// Type is what help calls the value.
func (s *seedValue) Type() string { return "N" }

// span is the value of a flag that takes a time.
type span time.Duration

// String is the time.
func (s *span) String() string { return time.Duration(*s).String() }

// Set takes the time from the command line.
func (s *span) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return errors.New("it takes a time above 0 with its unit, as 2s or 500ms")
	}
	*s = span(d)
	return nil
}

// Type is what help calls the value.
func (s *span) Type() string { return "TIME" }
