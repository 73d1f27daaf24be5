package harness

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/lastack/lastack/netenv"
)

// Pool is where labs are built: one keeper that serves many, and the bounds on
// how many stand at once. It is safe for concurrent use; whoever made it
// closes it.
type Pool struct {
	keeper *netenv.Keeper
	build  chan struct{} // building and starting are limited to the cores
	stand  chan struct{} // labs that stand
	begin  chan struct{} // runs of PlayAll under way
	calm   *calm
}

// NewPool starts a keeper. jobs bounds how many labs stand at once; 0 derives
// it from the memory and the file descriptors that are there. The errors are
// netenv's: errors.Is ErrNotSupported outside Linux, ErrNoPrivileges where
// namespaces cannot be made.
func NewPool(ctx context.Context, jobs int) (*Pool, error) {
	keeper, err := netenv.Start(ctx)
	if err != nil {
		return nil, err
	}
	if jobs <= 0 {
		jobs = room()
	}
	return &Pool{
		keeper: keeper,
		build:  make(chan struct{}, max(runtime.GOMAXPROCS(0), 1)),
		stand:  make(chan struct{}, jobs),
		begin:  make(chan struct{}, jobs),
		calm:   newCalm(),
	}, nil
}

// Jobs is how many labs may stand at once.
func (p *Pool) Jobs() int { return cap(p.stand) }

// Close ends the keeper with everything that it made.
func (p *Pool) Close() error {
	if err := p.keeper.Close(); err != nil {
		return fmt.Errorf("close pool: %w", err)
	}
	return nil
}

// take waits for a place; the place is given back by calling what it returns.
func take(ctx context.Context, places chan struct{}) (func(), error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// scale is LASTACK_TIMESCALE, by which every bound is stretched on a slow
// machine; 1 where it is not set or is no number above 0.
func scale() float64 {
	f, err := strconv.ParseFloat(os.Getenv("LASTACK_TIMESCALE"), 64)
	if err != nil || f <= 0 {
		return 1
	}
	return f
}

// Timescale stretches a bound of time by LASTACK_TIMESCALE.
func Timescale(d time.Duration) time.Duration { return time.Duration(float64(d) * scale()) }
