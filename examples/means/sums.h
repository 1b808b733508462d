// sums.h: for each digit, how many images there are and how much ink they have
// together, pixel by pixel; and the one form in which tally and means write
// such sums and means reads them.
//
// The form is ten lines, one for each digit from 0 to 9:
//
//	digit,count,sum0,sum1,...,sum63
//
// All are whole numbers, so that adding is exact, in whatever order and however
// the images are spread over tasks. A digit of which there is no image has a
// line of zeros.

#ifndef SUMS_H
#define SUMS_H

#include <stdint.h>

// An image is 8 x 8 pixels, row by row, each from 0 (blank) to 16 (full ink).
#define SIDE 8
#define PIXELS (SIDE * SIDE)
#define DARKEST 16
#define DIGITS 10

// The most images of one digit that are added up. It keeps every sum, and what
// is computed from it, far from 64 bits.
#define MAX_IMAGES UINT64_C(1000000000000)

// The images of one digit: how many, and the sum of each pixel over them. No
// pixel has more than DARKEST times count.
struct sum {
	uint64_t count;
	uint64_t pixels[PIXELS];
};

// The images of all digits. It begins as zeros.
struct sums {
	struct sum digits[DIGITS];
};

// add_sums_from adds what the file at path says to *all. It fails unless the
// file has that form to its last byte and the sums stay in their range.
void add_sums_from(const char *path, struct sums *all);

// print_sums prints sums in that form on standard output.
void print_sums(const struct sums *sums);

#endif
