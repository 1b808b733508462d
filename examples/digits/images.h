// images.h: the images of handwritten digits, and which of them are for
// training and which for testing.

#ifndef IMAGES_H
#define IMAGES_H

#include <stddef.h>
#include <stdint.h>

#include "model.h"

// One image: how dark each pixel is, from 0 to 1, row by row, and what digit it shows.
struct image {
	float pixels[PIXELS];
	uint32_t digit;
};

struct images {
	struct image *items;
	size_t count, capacity;
};

// read_images reads a file of lines with 64 pixel values from 0 to 16 and the
// digit, separated by commas, and parts the images: of the images of each
// digit, in the order of the file, the 3rd, 6th and 9th of every ten go to
// *test, the others to *training. So the parts are the same for every task, and
// each digit has its share in both. It fails if either part would be empty.
void read_images(const char *path, struct images *training, struct images *test);

#endif
