//go:build !race

package application

// raceDetector tells whether these tests were built with it.
const raceDetector = false
