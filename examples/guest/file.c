// file.c: whole files in, whole files out, and the one way to end with an
// error. Every read and write is checked.

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

_Noreturn void fail(enum exit_code code, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit((int)code);
}

void *grow(void *array, size_t count, size_t *capacity, size_t element_size)
{
	if (count < *capacity)
		return array;
	size_t larger = *capacity < 64 ? 64 : *capacity * 2;
	if (larger > SIZE_MAX / element_size)
		fail(EXIT_MEMORY, "no memory for %zu elements of %zu bytes", larger, element_size);
	array = realloc(array, larger * element_size);
	if (array == NULL)
		fail(EXIT_MEMORY, "no memory for %zu elements of %zu bytes", larger, element_size);
	*capacity = larger;
	return array;
}

struct file read_file(const char *path, size_t limit)
{
	FILE *stream = fopen(path, "rb");
	if (stream == NULL)
		fail(EXIT_INPUT, "%s: cannot be opened: %s", path, strerror(errno));
	struct file file = {NULL, 0};
	size_t capacity = 0;
	size_t room, n;
	do {
		// One byte stays free for the zero behind the last byte.
		file.bytes = grow(file.bytes, file.size + 1, &capacity, 1);
		room = capacity - file.size - 1;
		n = fread(file.bytes + file.size, 1, room, stream);
		file.size += n;
		if (file.size > limit)
			fail(EXIT_INPUT, "%s: larger than %zu bytes", path, limit);
	} while (n == room);
	if (ferror(stream))
		fail(EXIT_INPUT, "%s: cannot be read: %s", path, strerror(errno));
	file.bytes[file.size] = 0;
	fclose(stream);
	return file;
}

struct file read_text(const char *path, size_t limit)
{
	struct file file = read_file(path, limit);
	if (strlen(file.bytes) != file.size)
		fail(EXIT_INPUT, "%s: holds a zero byte, so it is not text", path);
	return file;
}

bool file_exists(const char *path)
{
	FILE *stream = fopen(path, "rb");
	if (stream == NULL)
		return false;
	fclose(stream);
	return true;
}

void write_file(const char *path, const void *bytes, size_t size)
{
	FILE *stream = fopen(path, "wb");
	if (stream == NULL)
		fail(EXIT_OUTPUT, "%s: cannot be made: %s", path, strerror(errno));
	bool written = fwrite(bytes, 1, size, stream) == size;
	if (fclose(stream) != 0 || !written)
		fail(EXIT_OUTPUT, "%s: cannot be written: %s", path, strerror(errno));
}

void finish_stdout(void)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		fail(EXIT_OUTPUT, "standard output cannot be written: %s", strerror(errno));
}
