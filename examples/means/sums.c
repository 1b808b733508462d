// sums.c writes and reads sums of images.

#include <inttypes.h>
#include <stdlib.h>

#include "guest.h"
#include "sums.h"

// The largest file with sums that is read, in bytes: about five times what
// the largest numbers take.
#define MAX_FILE (64 << 10)

// parse_sum reads one line, in place. It refuses sums that no images of that
// number can have.
static bool parse_sum(char *line, uint64_t *digit, struct sum *sum)
{
	char *fields[2 + PIXELS];
	if (!split_fields(line, fields, 2 + PIXELS) || !parse_integer(fields[0], DIGITS - 1, digit) ||
	    !parse_integer(fields[1], MAX_IMAGES, &sum->count))
		return false;
	for (size_t i = 0; i < PIXELS; i++)
		if (!parse_integer(fields[2 + i], DARKEST * sum->count, &sum->pixels[i]))
			return false;
	return true;
}

static void add(struct sum *to, const struct sum *sum, uint64_t digit)
{
	to->count += sum->count;
	if (to->count > MAX_IMAGES)
		fail(EXIT_ARITHMETIC, "more than %" PRIu64 " images of the digit %" PRIu64, MAX_IMAGES, digit);
	for (size_t i = 0; i < PIXELS; i++)
		to->pixels[i] += sum->pixels[i];
}

void add_sums_from(const char *path, struct sums *all)
{
	struct file file = read_text(path, MAX_FILE);
	char *rest = file.bytes;
	size_t number = 0;
	for (char *line; (line = next_line(&rest)) != NULL; number++) {
		uint64_t digit;
		struct sum sum;
		if (!parse_sum(line, &digit, &sum) || digit != number)
			fail(EXIT_INPUT, "%s: line %zu is not the sums of a digit: \"digit,count,sum0,...,sum%d\", digits in order",
			     path, number + 1, PIXELS - 1);
		add(&all->digits[digit], &sum, digit);
	}
	if (number != DIGITS)
		fail(EXIT_INPUT, "%s: has %zu lines; want %d, one for each digit", path, number, DIGITS);
	free(file.bytes);
}

void print_sums(const struct sums *sums)
{
	for (size_t d = 0; d < DIGITS; d++) {
		printf("%zu,%" PRIu64, d, sums->digits[d].count);
		for (size_t i = 0; i < PIXELS; i++)
			printf(",%" PRIu64, sums->digits[d].pixels[i]);
		putchar('\n');
	}
	finish_stdout();
}
