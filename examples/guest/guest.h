// guest.h: what the example programs share: ending with an error, reading
// arguments and files, and finding the inputs of a reduction.
//
// Programs run in a sandbox: inputs lie under /in, files may be written under
// /out, and nothing else exists. Nothing here asks for the time or for
// randomness, so the same task gives the same bytes on every machine.

#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// How the programs end when they cannot do their work. 0 is success; a program
// may end with 1 to 63.
enum exit_code {
	EXIT_ARGUMENTS = 2,  // the arguments are wrong
	EXIT_INPUT = 3,      // an input is missing or malformed
	EXIT_OUTPUT = 4,     // an output cannot be written
	EXIT_MEMORY = 5,     // the memory limit is too small for the inputs
	EXIT_ARITHMETIC = 6, // the computation left the range of its numbers
};

// fail prints one line on standard error and ends the program.
_Noreturn void fail(enum exit_code code, const char *format, ...) __attribute__((format(printf, 2, 3)));

// parse_integer reads a decimal number without sign, space or anything behind
// it, up to and including max. It reports whether text was one.
bool parse_integer(const char *text, uint64_t max, uint64_t *value);

// parse_decimal reads digits with at most one point among them ("12", "0.05"),
// between 0 and max. It knows no sign, exponent, infinity or NaN, and reports
// whether text was such a number.
bool parse_decimal(const char *text, double max, double *value);

// split_fields cuts line at its commas, in place, into exactly count fields.
// It reports whether there were that many.
bool split_fields(char *line, char **fields, size_t count);

// next_line cuts the first line off *rest, in place, without its line end
// (LF or CR LF), and returns it, or NULL when nothing is left.
char *next_line(char **rest);

// A file's bytes in memory. A zero byte follows them that size does not count.
struct file {
	char *bytes;
	size_t size;
};

// read_file reads a whole file of at most limit bytes. It fails if there is no
// such file, or it is larger.
struct file read_file(const char *path, size_t limit);

// read_text reads a whole file as read_file does and fails if it holds a zero
// byte, so that what comes back is one C string.
struct file read_text(const char *path, size_t limit);

// file_exists reports whether path can be opened for reading.
bool file_exists(const char *path);

// write_file makes the file path of these bytes.
void write_file(const char *path, const void *bytes, size_t size);

// finish_stdout makes sure that all that was printed has arrived.
void finish_stdout(void);

// grow returns array with room for at least one element more than count,
// moving it if need be; *capacity says how many it has room for. An array
// begins as NULL with a capacity of 0.
void *grow(void *array, size_t count, size_t *capacity, size_t element_size);

// INPUT_NAME_SIZE is the room that the name of a reduction's input takes: ten
// digits and a zero byte.
#define INPUT_NAME_SIZE 11

// An input of a reduction: the name of the folder under /in with the outputs
// of one task of the level below.
struct input {
	char name[INPUT_NAME_SIZE];
};

// list_inputs finds the folders that a reduction has to read, in task order,
// and sets *count, which is at least 1: it fails if there are none. A task
// that failed has no folder, so the numbers may have gaps.
struct input *list_inputs(size_t *count);

#endif
