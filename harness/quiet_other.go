//go:build !linux

package harness

func threads([]int, map[int]int64) bool { return false }
