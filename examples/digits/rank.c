// rank.c puts trained networks in order and keeps the best one: the reduction
// of a job whose tasks ran train.c.
//
//	rank
//
// Each input is what train or rank left: lines "hidden,rate,decay,seed,
// train_accuracy,test_accuracy,loss" on standard output, under a heading if it
// was rank's, and the best network of those lines as a file. It prints the
// heading once and all lines, best first, and writes the best network of all
// to /out/best-model.bin.
//
// The best has the highest test accuracy, then the lowest loss, then the
// smaller numbers from left to right; so there is one order only, however the
// lines are spread over the inputs.

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "model.h"

#define HEADING "hidden,rate,decay,seed,train_accuracy,test_accuracy,loss"

// The largest standard output that is read from one input.
#define MAX_STDOUT (16 << 20)

// Columns of a line.
enum { HIDDEN, RATE, DECAY, SEED, TRAIN_ACCURACY, TEST_ACCURACY, LOSS, COLUMNS };

// One trained network.
struct row {
	char *fields[COLUMNS]; // as they were read, to be printed unchanged
	double values[COLUMNS];
	size_t input; // from which it came
};

struct rows {
	struct row *items;
	size_t count, capacity;
};

// parse_row takes a line apart, in place.
static bool parse_row(char *line, struct row *row)
{
	static const double max[COLUMNS] = {MAX_HIDDEN, 10, 1, 0x1p64, 1, 1, 1e30};
	if (!split_fields(line, row->fields, COLUMNS))
		return false;
	for (size_t c = 0; c < COLUMNS; c++)
		if (!parse_decimal(row->fields[c], max[c], &row->values[c]))
			return false;
	return true;
}

static void read_rows(const struct input *from, size_t input, struct rows *rows)
{
	char path[sizeof "/in//stdout" + INPUT_NAME_SIZE];
	snprintf(path, sizeof path, "/in/%s/stdout", from->name);
	char *rest = read_text(path, MAX_STDOUT).bytes; // kept: the rows point into it
	size_t before = rows->count, number = 0;
	for (char *line; (line = next_line(&rest)) != NULL;) {
		struct row row = {.input = input};
		number++;
		if (number == 1 && strcmp(line, HEADING) == 0)
			continue;
		if (!parse_row(line, &row))
			fail(EXIT_INPUT, "%s: line %zu is not a \"%s\"", path, number, HEADING);
		rows->items = grow(rows->items, rows->count, &rows->capacity, sizeof row);
		rows->items[rows->count++] = row;
	}
	if (rows->count == before)
		fail(EXIT_INPUT, "%s: holds no results", path);
}

// best_first orders rows. Rows that are equal as numbers are ordered by how
// they are written, and by their inputs at last.
static int best_first(const void *a, const void *b)
{
	static const int columns[COLUMNS] = {TEST_ACCURACY, LOSS, HIDDEN, RATE, DECAY, SEED, TRAIN_ACCURACY};
	const struct row *x = a, *y = b;
	for (size_t i = 0; i < COLUMNS; i++) {
		double v = x->values[columns[i]], w = y->values[columns[i]];
		if (v != w)
			return (v < w) == (columns[i] == TEST_ACCURACY) ? 1 : -1;
	}
	for (size_t c = 0; c < COLUMNS; c++) {
		int order = strcmp(x->fields[c], y->fields[c]);
		if (order != 0)
			return order;
	}
	return (x->input > y->input) - (x->input < y->input);
}

static void print_rows(const struct rows *rows)
{
	puts(HEADING);
	for (size_t i = 0; i < rows->count; i++)
		for (size_t c = 0; c < COLUMNS; c++)
			printf("%s%c", rows->items[i].fields[c], c == COLUMNS - 1 ? '\n' : ',');
	finish_stdout();
}

// keep_model copies the network of the best row, which is the best of its own
// input, so that this input left it. Its file must fit what the row says.
static void keep_model(const struct input *from, const struct row *best)
{
	char path[sizeof "/in//out/best-model.bin" + INPUT_NAME_SIZE];
	snprintf(path, sizeof path, "/in/%s/out/best-model.bin", from->name);
	if (!file_exists(path)) // then it is train's, not rank's
		snprintf(path, sizeof path, "/in/%s/out/model.bin", from->name);
	struct file file = read_file(path, model_size(MAX_HIDDEN));
	struct model_header header;
	if (file.size < sizeof header)
		fail(EXIT_INPUT, "%s: %zu bytes are too few for a network", path, file.size);
	memcpy(&header, file.bytes, sizeof header);
	if (memcmp(header.magic, MODEL_MAGIC, MODEL_MAGIC_SIZE) != 0)
		fail(EXIT_INPUT, "%s: is not a network", path);
	if (header.pixels != PIXELS || header.digits != DIGITS || header.hidden != best->values[HIDDEN] ||
	    header.weights != model_weights(header.hidden) || file.size != model_size(header.hidden))
		fail(EXIT_INPUT, "%s: is not a network with %s hidden units", path, best->fields[HIDDEN]);
	write_file("/out/best-model.bin", file.bytes, file.size);
	free(file.bytes);
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc != 1)
		fail(EXIT_ARGUMENTS, "usage: rank (it takes no arguments)");
	size_t count;
	struct input *inputs = list_inputs(&count);
	struct rows rows = {NULL, 0, 0};
	for (size_t i = 0; i < count; i++)
		read_rows(&inputs[i], i, &rows);
	qsort(rows.items, rows.count, sizeof *rows.items, best_first);
	keep_model(&inputs[rows.items[0].input], &rows.items[0]);
	print_rows(&rows);
	return 0;
}
