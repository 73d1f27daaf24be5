//go:build !race

package tool_test

// raceDetector tells whether these tests were built with it.
const raceDetector = false
