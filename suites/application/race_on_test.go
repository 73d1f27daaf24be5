//go:build race

package application

const raceDetector = true
