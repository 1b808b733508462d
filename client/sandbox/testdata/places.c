// Reads a file at the places that its arguments name, or with "all" from its
// beginning to its end, and says what is there: the size that the system says,
// and for each place how many bytes came, with a hash of them.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char b[1 << 16];

static unsigned long long hash(unsigned long long h, const char *p, ssize_t n)
{
	while (n-- > 0)
		h = (h ^ (unsigned char)*p++) * 0x100000001b3ull;
	return h;
}

int main(int argc, char **argv)
{
	const unsigned long long start = 0xcbf29ce484222325ull;
	struct stat s;
	int fd = argc > 1 ? open(argv[1], O_RDONLY) : -1;
	if (fd < 0 || fstat(fd, &s) != 0 || s.st_size != lseek(fd, 0, SEEK_END)) {
		fprintf(stderr, "cannot open %s\n", argc > 1 ? argv[1] : "nothing");
		return 3;
	}
	printf("size %lld\n", (long long)s.st_size);
	for (int i = 2; i < argc; i++) {
		unsigned long long h = start;
		ssize_t n, all = 0;
		if (strcmp(argv[i], "all") == 0) {
			lseek(fd, 0, SEEK_SET);
			while ((n = read(fd, b, sizeof b)) > 0) {
				h = hash(h, b, n);
				all += n;
			}
		} else {
			long long at = atoll(argv[i]);
			if (i % 2 == 0) {
				n = pread(fd, b, 4096, at);
			} else {
				lseek(fd, at, SEEK_SET);
				n = read(fd, b, 4096);
			}
			h = hash(h, b, n);
			all = n;
		}
		if (n < 0)
			return 4;
		printf("%s: %lld bytes %016llx\n", argv[i], (long long)all, h);
	}
	return 0;
}
