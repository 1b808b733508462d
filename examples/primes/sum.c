// sum.c adds up counts of primes and twin primes: the reduction of a job whose
// tasks ran count.c.
//
//	sum
//
// Each input is what count or sum printed: lines "from,to,primes,twins". It
// prints lines of the same form, in order, where ranges that meet have become
// one. So one line is left when every task succeeded; a task that failed
// leaves a gap between two lines, never a silently wrong sum.

#include <inttypes.h>
#include <stdlib.h>

#include "guest.h"

// The largest standard output that is read from one input.
#define MAX_STDOUT (16 << 20)

// The primes and twin primes of the range from <= x < to.
struct tally {
	uint64_t from, to;
	uint64_t primes, twins;
};

struct tallies {
	struct tally *items;
	size_t count, capacity;
};

// parse_tally reads one line, in place. It refuses counts that no range of
// that size can have, which also keeps sums from overflowing.
static bool parse_tally(char *line, struct tally *t)
{
	char *fields[4];
	return split_fields(line, fields, 4) && parse_integer(fields[0], UINT64_MAX, &t->from) &&
	       parse_integer(fields[1], UINT64_MAX, &t->to) && parse_integer(fields[2], UINT64_MAX, &t->primes) &&
	       parse_integer(fields[3], UINT64_MAX, &t->twins) && t->from < t->to && t->primes <= t->to - t->from &&
	       t->twins <= t->primes;
}

static void read_tallies(const struct input *input, struct tallies *all)
{
	char path[sizeof "/in//stdout" + INPUT_NAME_SIZE];
	snprintf(path, sizeof path, "/in/%s/stdout", input->name);
	struct file file = read_text(path, MAX_STDOUT);
	char *rest = file.bytes;
	size_t number = 0;
	for (char *line; (line = next_line(&rest)) != NULL;) {
		struct tally t;
		number++;
		if (!parse_tally(line, &t))
			fail(EXIT_INPUT, "%s: line %zu is not a \"from,to,primes,twins\"", path, number);
		all->items = grow(all->items, all->count, &all->capacity, sizeof *all->items);
		all->items[all->count++] = t;
	}
	if (number == 0)
		fail(EXIT_INPUT, "%s: is empty", path);
	free(file.bytes);
}

static int by_start(const void *a, const void *b)
{
	uint64_t x = ((const struct tally *)a)->from, y = ((const struct tally *)b)->from;
	return (x > y) - (x < y);
}

// merge adds up ranges that meet, in place; they are in order. Ranges that
// overlap would count numbers twice and are refused.
static void merge(struct tallies *all)
{
	size_t last = 0;
	for (size_t i = 1; i < all->count; i++) {
		struct tally *sum = &all->items[last];
		const struct tally *t = &all->items[i];
		if (t->from < sum->to)
			fail(EXIT_INPUT, "the ranges %" PRIu64 "-%" PRIu64 " and %" PRIu64 "-%" PRIu64 " overlap", sum->from,
			     sum->to, t->from, t->to);
		if (t->from > sum->to) {
			all->items[++last] = *t;
			continue;
		}
		sum->to = t->to;
		sum->primes += t->primes;
		sum->twins += t->twins;
	}
	all->count = last + 1;
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc != 1)
		fail(EXIT_ARGUMENTS, "usage: sum (it takes no arguments)");
	size_t count;
	struct input *inputs = list_inputs(&count);
	struct tallies all = {NULL, 0, 0};
	for (size_t i = 0; i < count; i++)
		read_tallies(&inputs[i], &all);
	qsort(all.items, all.count, sizeof *all.items, by_start);
	merge(&all);
	for (size_t i = 0; i < all.count; i++) {
		const struct tally *t = &all.items[i];
		printf("%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n", t->from, t->to, t->primes, t->twins);
	}
	finish_stdout();
	return 0;
}
