// Sorting through a pointer to a function: indirect calls and recursion.
#include <stdio.h>
#include <stdlib.h>

static int values[1 << 13];

static int compare(const void *a, const void *b) {
	int x = *(const int *)a, y = *(const int *)b;
	return x < y ? -1 : x > y;
}

int main(void) {
	unsigned seed = 1;
	long sum = 0;
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 1 << 13; i++) {
			seed = seed * 1103515245 + 12345;
			values[i] = seed >> 8;
		}
		qsort(values, 1 << 13, sizeof values[0], compare);
		sum += values[1000 * round];
	}
	printf("%ld\n", sum);
	return 0;
}
