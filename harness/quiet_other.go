//go:build !linux

package harness

type census struct{}

func (*census) threads([]int, map[int]int64) bool { return false }
