// count.c counts the primes and the twin primes of a range.
//
//	count FROM TO
//
// It prints one line, "from,to,primes,twins": how many x with
// FROM <= x < TO are prime, and for how many of those x + 2 is prime as well.
// A pair belongs to the range that its smaller member lies in, so that the
// counts of neighbouring ranges add up. Hence the sieve looks at TO and TO + 1
// too.
//
// The method is the segmented sieve of Eratosthenes over odd numbers: memory
// for the primes up to the square root of TO, and one segment that stays in a
// processor's cache, however large the range is.

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

// The largest TO. Its base primes, up to ten million, take 11 MB.
#define MAX_TO UINT64_C(100000000000000)

// Odd numbers in one segment, one byte each.
#define SEGMENT 32768

// A prime, and where the sieve strikes its next multiple out: counted in odd
// numbers from the start of the segment to come.
struct base_prime {
	uint32_t prime;
	uint64_t next;
};

struct base_primes {
	struct base_prime *items;
	size_t count;
};

struct counts {
	uint64_t primes;
	uint64_t twins;
};

static uint64_t square_root(uint64_t n)
{
	uint64_t low = 0, high = UINT64_C(1) << 31;
	while (high - low > 1) {
		uint64_t middle = (low + high) / 2;
		if (middle * middle <= n)
			low = middle;
		else
			high = middle;
	}
	return low;
}

// find_base_primes returns the odd primes up to and including limit.
static struct base_primes find_base_primes(uint32_t limit)
{
	uint8_t *composite = calloc((size_t)limit + 1, 1);
	if (composite == NULL)
		fail(EXIT_MEMORY, "no memory for the primes up to %" PRIu32, limit);
	struct base_primes found = {NULL, 0};
	size_t capacity = 0;
	for (uint32_t p = 3; p <= limit; p += 2) {
		if (composite[p])
			continue;
		found.items = grow(found.items, found.count, &capacity, sizeof *found.items);
		found.items[found.count++].prime = p;
		for (uint64_t multiple = (uint64_t)p * p; multiple <= limit; multiple += 2 * (uint64_t)p)
			composite[multiple] = 1;
	}
	free(composite);
	return found;
}

// aim sets each base prime at its first odd multiple that is not below low and
// not below its own square; low is odd. Smaller multiples have a smaller
// prime factor, which strikes them out.
static void aim(struct base_primes *base, uint64_t low)
{
	for (size_t i = 0; i < base->count; i++) {
		uint64_t p = base->items[i].prime;
		uint64_t multiple = p * p;
		if (multiple < low) {
			multiple = (low + p - 1) / p * p;
			if (multiple % 2 == 0)
				multiple += p;
		}
		base->items[i].next = (multiple - low) / 2;
	}
}

// strike marks the composite numbers of the segment's first size odd numbers
// and moves every base prime on to the following segment.
static void strike(struct base_primes *base, uint8_t *composite, uint32_t size)
{
	memset(composite, 0, size);
	for (size_t i = 0; i < base->count; i++) {
		uint64_t k = base->items[i].next;
		for (; k < size; k += base->items[i].prime)
			composite[k] = 1;
		base->items[i].next = k - size;
	}
}

// count_range sieves the odd numbers from FROM up to TO + 1, a segment at a
// time, and counts.
static struct counts count_range(uint64_t from, uint64_t to)
{
	static uint8_t composite[SEGMENT];
	struct base_primes base = find_base_primes((uint32_t)square_root(to + 1));
	struct counts counts = {from <= 2 && 2 < to, 0};
	uint64_t low = from < 3 ? 3 : from | 1;
	aim(&base, low);
	bool before = false; // whether the odd number before this one is prime, and in the range
	while (low < to + 2) {
		uint64_t odds = (to + 2 - low + 1) / 2;
		uint32_t size = odds < SEGMENT ? (uint32_t)odds : SEGMENT;
		strike(&base, composite, size);
		for (uint32_t k = 0; k < size; k++) {
			bool prime = !composite[k];
			counts.primes += prime && low + 2 * (uint64_t)k < to;
			counts.twins += prime && before;
			before = prime;
		}
		low += 2 * (uint64_t)size;
	}
	free(base.items);
	return counts;
}

int main(int argc, char **argv)
{
	uint64_t from, to;
	if (argc != 3)
		fail(EXIT_ARGUMENTS, "usage: count FROM TO");
	if (!parse_integer(argv[1], MAX_TO, &from))
		fail(EXIT_ARGUMENTS, "FROM is \"%s\"; want a whole number up to %" PRIu64, argv[1], MAX_TO);
	if (!parse_integer(argv[2], MAX_TO, &to))
		fail(EXIT_ARGUMENTS, "TO is \"%s\"; want a whole number up to %" PRIu64, argv[2], MAX_TO);
	if (from >= to)
		fail(EXIT_ARGUMENTS, "the range %" PRIu64 " to %" PRIu64 " is empty; TO must be larger than FROM", from, to);
	struct counts counts = count_range(from, to);
	printf("%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n", from, to, counts.primes, counts.twins);
	finish_stdout();
	return 0;
}
