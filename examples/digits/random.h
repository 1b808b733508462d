// random.h: random numbers that follow from a seed and nothing else.

#ifndef RANDOM_H
#define RANDOM_H

#include <stdint.h>

// random_next steps the generator (SplitMix64) and returns 64 random bits. Its
// state is one number; any number will do to begin with.
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

// random_unit returns a number from 0 up to but not including 1, of 24 bits,
// which a float holds exactly.
static inline float random_unit(uint64_t *state) { return (float)(random_next(state) >> 40) / (float)(1 << 24); }

#endif
