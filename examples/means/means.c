// means.c adds up sums of images and draws the mean image of each digit: the
// reduction of a job whose tasks ran tally.c.
//
//	means
//
// Each input is what tally or means printed. It prints the sums of all inputs
// in the same form (sums.h), so that a further level can add them up in turn,
// and writes two files:
//
//	/out/means.csv  the mean of each pixel: "digit,mean0,...,mean63"
//	/out/means.txt  the mean images, drawn in characters
//
// Only whole numbers are computed with, so there is nothing to round but the
// means themselves, and these are rounded once, at the end.

#include <inttypes.h>
#include <stdarg.h>

#include "guest.h"
#include "sums.h"

// What the files hold is put together here first. The largest takes 5 KB.
struct page {
	char text[16 << 10];
	size_t size;
};

static void add(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct page *page, const char *format, ...)
{
	size_t room = sizeof page->text - page->size;
	va_list arguments;
	va_start(arguments, format);
	int n = vsnprintf(page->text + page->size, room, format, arguments);
	va_end(arguments);
	if (n < 0 || (size_t)n >= room)
		fail(EXIT_OUTPUT, "a file of more than %zu bytes", sizeof page->text - 1);
	page->size += (size_t)n;
}

// quotient divides and rounds to the nearest whole number, a half upwards.
static uint64_t quotient(uint64_t dividend, uint64_t divisor) { return (2 * dividend + divisor) / (2 * divisor); }

// write_table writes the means with three decimals. A digit of which there is
// no image has no mean, and no line.
static void write_table(const struct sums *sums)
{
	static struct page page;
	for (size_t d = 0; d < DIGITS; d++) {
		const struct sum *sum = &sums->digits[d];
		if (sum->count == 0)
			continue;
		add(&page, "%zu", d);
		for (size_t i = 0; i < PIXELS; i++) {
			uint64_t thousandths = quotient(1000 * sum->pixels[i], sum->count);
			add(&page, ",%" PRIu64 ".%03" PRIu64, thousandths / 1000, thousandths % 1000);
		}
		add(&page, "\n");
	}
	write_file("/out/means.csv", page.text, page.size);
}

// The characters that pixels are drawn with, from blank to full ink.
static const char shades[] = " .:-=+*#%@";

// How the images are laid out. A pixel is two characters wide, which makes it
// about as wide as it is high.
enum { IN_A_ROW = 5, WIDTH = 2 * SIDE, GAP = 3 };

static char shade(const struct sum *sum, size_t pixel)
{
	if (sum->count == 0)
		return shades[0];
	return shades[quotient((sizeof shades - 2) * sum->pixels[pixel], DARKEST * sum->count)];
}

// end_line ends a line, without the spaces that nobody sees.
static void end_line(struct page *page)
{
	while (page->size > 0 && page->text[page->size - 1] == ' ')
		page->size--;
	add(page, "\n");
}

// draw_row draws the images of some digits side by side, each below its digit
// and how many images it is the mean of.
static void draw_row(struct page *page, const struct sums *sums, size_t first)
{
	for (size_t d = first; d < first + IN_A_ROW; d++)
		add(page, "%zu: %-*" PRIu64, d, WIDTH + GAP - 3, sums->digits[d].count);
	end_line(page);
	for (size_t y = 0; y < SIDE; y++) {
		for (size_t d = first; d < first + IN_A_ROW; d++) {
			for (size_t x = 0; x < SIDE; x++) {
				char c = shade(&sums->digits[d], y * SIDE + x);
				add(page, "%c%c", c, c);
			}
			add(page, "%*s", GAP, "");
		}
		end_line(page);
	}
}

static void write_drawing(const struct sums *sums)
{
	static struct page page;
	uint64_t images = 0;
	for (size_t d = 0; d < DIGITS; d++)
		images += sums->digits[d].count;
	add(&page, "%" PRIu64 " images: how many of each digit, and their mean, from blank to full ink: \"%s\"\n", images, shades);
	for (size_t d = 0; d < DIGITS; d += IN_A_ROW) {
		add(&page, "\n");
		draw_row(&page, sums, d);
	}
	write_file("/out/means.txt", page.text, page.size);
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc != 1)
		fail(EXIT_ARGUMENTS, "usage: means (it takes no arguments)");
	static struct sums sums;
	size_t count;
	struct input *inputs = list_inputs(&count);
	for (size_t i = 0; i < count; i++) {
		char path[sizeof "/in//stdout" + INPUT_NAME_SIZE];
		snprintf(path, sizeof path, "/in/%s/stdout", inputs[i].name);
		add_sums_from(path, &sums);
	}
	write_table(&sums);
	write_drawing(&sums);
	print_sums(&sums);
	return 0;
}
