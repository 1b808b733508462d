//go:build race

package sandbox

// detectorMemory is address space that the race detector reserves.
const detectorMemory = 1 << 44
