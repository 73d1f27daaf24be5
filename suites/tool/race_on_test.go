//go:build race

package tool_test

const raceDetector = true
