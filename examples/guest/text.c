// text.c: arguments and lines of comma-separated values, taken apart strictly:
// what is not understood to its last byte is refused, never guessed.

#include <stdlib.h>
#include <string.h>

#include "guest.h"

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool parse_integer(const char *text, uint64_t max, uint64_t *value)
{
	uint64_t v = 0;
	if (*text == 0)
		return false;
	for (; *text != 0; text++) {
		if (!is_digit(*text))
			return false;
		uint64_t digit = (uint64_t)(*text - '0');
		if (v > max / 10 || digit > max - v * 10)
			return false;
		v = v * 10 + digit;
	}
	*value = v;
	return true;
}

bool parse_decimal(const char *text, double max, double *value)
{
	size_t digits = 0, points = 0;
	for (const char *c = text; *c != 0; c++) {
		if (is_digit(*c))
			digits++;
		else if (*c == '.')
			points++;
		else
			return false;
	}
	if (digits == 0 || points > 1)
		return false;
	double v = strtod(text, NULL);
	if (!(v <= max))
		return false;
	*value = v;
	return true;
}

bool split_fields(char *line, char **fields, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		fields[i] = line;
		char *comma = strchr(line, ',');
		if ((comma == NULL) != (i == count - 1))
			return false;
		if (comma != NULL) {
			*comma = 0;
			line = comma + 1;
		}
	}
	return true;
}

char *next_line(char **rest)
{
	char *line = *rest;
	if (*line == 0)
		return NULL;
	char *end = strchr(line, '\n');
	if (end == NULL) {
		*rest = line + strlen(line);
		return line;
	}
	*rest = end + 1;
	if (end > line && end[-1] == '\r')
		end--;
	*end = 0;
	return line;
}
