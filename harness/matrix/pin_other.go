//go:build !linux

package matrix

func pin() (release func()) { return func() {} }
