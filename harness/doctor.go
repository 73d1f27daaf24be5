package harness

import (
	"context"

	"github.com/lastack/lastack/netenv"
)

// Diagnosis is what Doctor found out: check by check, what is there, what is
// missing, and what to do about it.
type Diagnosis = netenv.Report

// Check is one thing that a lab needs, or is better with.
type Check = netenv.Check

// What a Check found.
const (
	CheckOK       = netenv.OK
	CheckMissing  = netenv.Missing
	CheckOptional = netenv.Optional
)

// Doctor tries whether labs can be made here, by making one, and explains what
// stands against it.
func Doctor(ctx context.Context) Diagnosis { return netenv.Doctor(ctx) }
