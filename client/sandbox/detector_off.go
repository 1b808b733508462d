//go:build !race

package sandbox

const detectorMemory = 0
