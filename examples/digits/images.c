// images.c reads and parts the images.

#include <stdbool.h>
#include <stdlib.h>

#include "guest.h"
#include "images.h"

// The largest pixel value in the file.
#define DARKEST 16

// The largest file that is read, in bytes.
#define MAX_FILE (4 << 20)

static bool parse_image(char *line, struct image *image)
{
	char *fields[PIXELS + 1];
	uint64_t value;
	if (!split_fields(line, fields, PIXELS + 1))
		return false;
	for (size_t i = 0; i < PIXELS; i++) {
		if (!parse_integer(fields[i], DARKEST, &value))
			return false;
		image->pixels[i] = (float)value / DARKEST;
	}
	if (!parse_integer(fields[PIXELS], DIGITS - 1, &value))
		return false;
	image->digit = (uint32_t)value;
	return true;
}

static bool is_test(size_t number_within_digit)
{
	size_t k = number_within_digit % 10;
	return k == 2 || k == 5 || k == 8;
}

static void append(struct images *images, const struct image *image)
{
	images->items = grow(images->items, images->count, &images->capacity, sizeof *image);
	images->items[images->count++] = *image;
}

void read_images(const char *path, struct images *training, struct images *test)
{
	struct file file = read_text(path, MAX_FILE);
	size_t seen[DIGITS] = {0};
	size_t number = 0;
	char *rest = file.bytes;
	for (char *line; (line = next_line(&rest)) != NULL;) {
		struct image image;
		number++;
		if (!parse_image(line, &image))
			fail(EXIT_INPUT, "%s: line %zu is not %d pixel values from 0 to %d and a digit", path, number, PIXELS,
			     DARKEST);
		append(is_test(seen[image.digit]++) ? test : training, &image);
	}
	free(file.bytes);
	if (training->count == 0 || test->count == 0)
		fail(EXIT_INPUT, "%s: %zu images are too few: a part for training or for testing is empty", path, number);
}
