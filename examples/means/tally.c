// tally.c adds up images of handwritten digits.
//
//	tally
//
// It reads /in/digits.csv, which holds the lines of the data that fell to this
// task: 64 pixel values from 0 to 16 and the digit, separated by commas. It
// prints, for each digit, how many images there are and the sum of each pixel
// over them (sums.h has the form). The means come last, in means.c: sums of
// different tasks can be added, means cannot.

#include <stdlib.h>

#include "guest.h"
#include "sums.h"

#define IMAGES "/in/digits.csv"

// The largest file that is read, in bytes: more than 30,000 images.
#define MAX_FILE (4 << 20)

// add_image reads one line, in place, and adds its image. It reports whether
// the line was one.
static bool add_image(char *line, struct sums *sums)
{
	char *fields[PIXELS + 1];
	uint64_t digit, pixels[PIXELS];
	if (!split_fields(line, fields, PIXELS + 1) || !parse_integer(fields[PIXELS], DIGITS - 1, &digit))
		return false;
	for (size_t i = 0; i < PIXELS; i++)
		if (!parse_integer(fields[i], DARKEST, &pixels[i]))
			return false;
	struct sum *sum = &sums->digits[digit];
	sum->count++;
	for (size_t i = 0; i < PIXELS; i++)
		sum->pixels[i] += pixels[i];
	return true;
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc != 1)
		fail(EXIT_ARGUMENTS, "usage: tally (it takes no arguments)");
	static struct sums sums;
	char *rest = read_text(IMAGES, MAX_FILE).bytes;
	size_t number = 0;
	for (char *line; (line = next_line(&rest)) != NULL;) {
		number++;
		if (!add_image(line, &sums))
			fail(EXIT_INPUT, "%s: line %zu is not %d pixel values from 0 to %d and a digit", IMAGES, number, PIXELS,
			     DARKEST);
	}
	if (number == 0)
		fail(EXIT_INPUT, "%s: is empty", IMAGES);
	print_sums(&sums);
	return 0;
}
