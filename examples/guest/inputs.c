// inputs.c: which outputs of the level below a reduction has to read.

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

// No task of a reduction is ever given more.
#define MAX_INPUTS 4096

static bool is_input_name(const char *name)
{
	return strlen(name) == INPUT_NAME_SIZE - 1 && strspn(name, "0123456789") == INPUT_NAME_SIZE - 1;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct input *)a)->name, ((const struct input *)b)->name);
}

struct input *list_inputs(size_t *count)
{
	DIR *folder = opendir("/in");
	if (folder == NULL)
		fail(EXIT_INPUT, "/in: cannot be opened: %s", strerror(errno));
	struct input *inputs = NULL;
	size_t n = 0, capacity = 0;
	for (;;) {
		errno = 0;
		struct dirent *entry = readdir(folder);
		if (entry == NULL)
			break;
		if (!is_input_name(entry->d_name))
			continue;
		if (n == MAX_INPUTS)
			fail(EXIT_INPUT, "/in: more than %d inputs", MAX_INPUTS);
		inputs = grow(inputs, n, &capacity, sizeof *inputs);
		memcpy(inputs[n++].name, entry->d_name, INPUT_NAME_SIZE);
	}
	if (errno != 0)
		fail(EXIT_INPUT, "/in: cannot be listed: %s", strerror(errno));
	closedir(folder);
	if (n == 0)
		fail(EXIT_INPUT, "/in: no inputs: all tasks of this group failed");
	qsort(inputs, n, sizeof *inputs, by_name);
	*count = n;
	return inputs;
}
