// What the sandbox's tests run: each command is one thing that a program does,
// or tries to do. build.sh compiles it.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void check(int ok, const char *what) {
	if (!ok) {
		fprintf(stderr, "%s: %s\n", what, strerror(errno));
		exit(1);
	}
}

static void list(const char *path, int depth) {
	DIR *d = opendir(path);
	check(d != NULL, path);
	struct dirent *e;
	while ((e = readdir(d)) != NULL) {
		char below[512];
		struct stat s;
		snprintf(below, sizeof below, "%s/%s", path, e->d_name);
		check(stat(below, &s) == 0, below);
		printf("%*s%s type %d size %lld links %d time %lld ino %llx %d\n", depth, "", e->d_name, S_ISDIR(s.st_mode) ? 1 : 0,
			(long long)s.st_size, (int)s.st_nlink, (long long)s.st_mtime, (unsigned long long)s.st_ino, s.st_ino == e->d_ino);
		if (S_ISDIR(s.st_mode) && e->d_name[0] != '.')
			list(below, depth + 2);
	}
	closedir(d);
}

static void surroundings(int argc, char **argv) {
	extern char **environ;
	for (int i = 0; i < argc; i++)
		printf("arg %d [%s]\n", i, argv[i]);
	printf("environment %s\n", environ == NULL || environ[0] == NULL ? "empty" : environ[0]);
	printf("terminals %d %d %d\n", isatty(0), isatty(1), isatty(2));
	printf("stdin %d\n", getchar());
	struct timespec t, r;
	for (int i = 0; i < 2; i++) {
		clock_gettime(i ? CLOCK_MONOTONIC : CLOCK_REALTIME, &t);
		clock_getres(CLOCK_REALTIME, &r);
		printf("clock %lld.%09ld resolution %ld\n", (long long)t.tv_sec, t.tv_nsec, r.tv_nsec);
	}
	check(usleep(1500000) == 0, "usleep");
	clock_gettime(CLOCK_REALTIME, &t);
	printf("after a nap %lld.%09ld\n", (long long)t.tv_sec, t.tv_nsec);
	uint8_t random[8];
	check(getentropy(random, sizeof random) == 0, "getentropy");
	printf("random ");
	for (size_t i = 0; i < sizeof random; i++)
		printf("%02x", random[i]);
	printf("\nsine %.17g\n", sin(0.5));
}

static void readInputs(void) {
	char b[64];
	FILE *f = fopen("/in/b.txt", "r");
	check(f != NULL, "open");
	while (fgets(b, sizeof b, f) != NULL)
		printf("line %s", b);
	check(fseek(f, -4, SEEK_END) == 0, "seek");
	printf("last %d\n", fgetc(f));
	fclose(f);
	int fd = open("/in/b.txt", O_RDONLY);
	check(fd >= 0, "open");
	printf("descriptor %d\n", fd);
	check(pread(fd, b, 3, 2) == 3, "pread");
	printf("pread %.3s at %d\n", b, (int)lseek(fd, 0, SEEK_CUR));
	printf("write to input %zd %d\n", write(fd, "x", 1), errno);
	printf("open for writing %d %d\n", open("/in/b.txt", O_RDWR), errno);
	printf("create %d %d\n", open("/in/new", O_CREAT | O_WRONLY, 0644), errno);
	printf("unlink %d %d\n", unlink("/in/b.txt"), errno);
	printf("mkdir %d %d\n", mkdir("/in/d", 0755), errno);
	list("/in", 0);
}

static void writeOutputs(void) {
	check(mkdir("/out/sub", 0755) == 0 && mkdir("/out/sub/deep", 0755) == 0, "mkdir");
	FILE *f = fopen("/out/sub/deep/a.txt", "w");
	check(f != NULL && fprintf(f, "first\n") > 0 && fclose(f) == 0, "write");
	f = fopen("/out/sub/deep/a.txt", "a");
	check(f != NULL && fprintf(f, "second\n") > 0 && fclose(f) == 0, "append");
	f = fopen("/out/gone", "w");
	check(f != NULL && fprintf(f, "gone\n") > 0 && fclose(f) == 0, "write");
	check(unlink("/out/gone") == 0, "unlink");
	f = fopen("/out/old", "w+");
	check(f != NULL && fprintf(f, "renamed\n") > 0 && fseek(f, 0, SEEK_SET) == 0 && fgetc(f) == 'r' && fclose(f) == 0, "write");
	check(rename("/out/old", "/out/sub/new") == 0, "rename");
	check(rename("/out/sub", "/out/folder") == 0, "rename of a folder");
	int fd = open("/out/sparse", O_CREAT | O_RDWR | O_EXCL, 0644);
	check(fd >= 0 && pwrite(fd, "end", 3, 200000) == 3, "pwrite");
	check(ftruncate(fd, 200002) == 0 && lseek(fd, 0, SEEK_END) == 200002, "truncate");
	check(open("/out/sparse", O_CREAT | O_RDWR | O_EXCL, 0644) < 0 && errno == EEXIST, "exclusive");
	check(mkdir("/out/empty", 0755) == 0, "mkdir");
	check(rmdir("/out/folder") < 0 && errno == ENOTEMPTY, "rmdir");
	fprintf(stderr, "to stderr\n");
	list("/out", 0);
}

static void tricks(void) {
	static const char *const paths[] = {"/etc/passwd", "/in/../../etc/passwd", "/in/../etc/passwd", "../etc/passwd", "/in/..", "/", ".", "/proc/self/mem",
		"/out/../in/b.txt", "/in/sub/../b.txt", "/in/b.txt/", "/in/b.txt/x", "/in//b.txt", "/in/./b.txt", "/dev/null", "C:\\x", "/in/sub\\..\\b.txt", ""};
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		int fd = open(paths[i], O_RDONLY);
		printf("open %s %d %d\n", paths[i], fd < 0 ? -1 : 0, fd < 0 ? errno : 0);
		if (fd >= 0)
			close(fd);
	}
	char b[8];
	printf("symlink %d %d\n", symlink("../../../../etc/passwd", "/out/link"), errno);
	printf("link %d %d\n", link("/in/b.txt", "/out/link"), errno);
	printf("readlink %zd %d\n", readlink("/in/b.txt", b, sizeof b), errno);
	printf("rename out of in %d %d\n", rename("/in/b.txt", "/out/b.txt"), errno);
	printf("rename into itself %d %d\n", mkdir("/out/d", 0755) == 0 && rename("/out/d", "/out/d/e"), errno);
	for (int fd = 5; fd < 5000; fd += 7)
		check(write(fd, "x", 1) < 0 && errno == EBADF && lseek(fd, 0, SEEK_SET) < 0 && errno == EBADF, "a guessed descriptor");
	check(openat(1, "x", O_RDONLY) < 0 && errno == ENOTDIR, "openat a stream");
}

static int depth(volatile int n) { return n <= 0 ? 0 : 1 + depth(n - 1); }

static void manyFiles(int n) {
	for (int i = 0; i < n; i++) {
		char path[64];
		snprintf(path, sizeof path, "/out/file-%06d", i);
		int fd = open(path, O_CREAT | O_WRONLY, 0644);
		check(fd >= 0 && close(fd) == 0, path);
	}
}

static void opens(int n) {
	static char path[4000] = "/in/";
	memset(path + 4, 'x', sizeof path - 5);
	for (int i = 0; i < n; i++)
		check(open(path, O_RDONLY) < 0 && errno == ENOENT, "open");
}

static void grow(size_t limit) {
	size_t total = 0;
	for (size_t n = 64 << 20; n >= 64 << 10;) {
		char *p = total + n <= limit ? malloc(n) : NULL;
		if (p == NULL) {
			n /= 2;
			continue;
		}
		for (size_t i = 0; i < n; i += 4096)
			p[i] = 1;
		total += n;
	}
	printf("touched %zu MiB\n", total >> 20);
	fflush(stdout);
}

int main(int argc, char **argv) {
	const char *command = argc > 1 ? argv[1] : "surroundings";
	long n = argc > 2 ? atol(argv[2]) : 0;
	if (strcmp(command, "surroundings") == 0)
		surroundings(argc, argv);
	else if (strcmp(command, "read") == 0)
		readInputs();
	else if (strcmp(command, "write") == 0)
		writeOutputs();
	else if (strcmp(command, "tricks") == 0)
		tricks();
	else if (strcmp(command, "exit") == 0)
		exit((int)n);
	else if (strcmp(command, "abort") == 0) {
		fprintf(stderr, "about to abort\n");
		abort();
	} else if (strcmp(command, "loop") == 0)
		for (volatile uint64_t i = 0;; i++)
			;
	else if (strcmp(command, "count") == 0) {
		uint64_t x = 1;
		for (long i = 0; i < n; i++)
			x = x * 6364136223846793005u + 1442695040888963407u;
		printf("%llx\n", (unsigned long long)x);
	} else if (strcmp(command, "grow") == 0)
		grow((size_t)n << 20);
	else if (strcmp(command, "hold") == 0) {
		grow((size_t)n << 20);
		for (;;)
			__asm__ volatile("");
	} else if (strcmp(command, "flood") == 0)
		for (;;)
			puts("more and more and more");
	else if (strcmp(command, "create") == 0) {
		int fd = open(argv[2], O_CREAT | O_WRONLY, 0644);
		check(fd >= 0, argv[2]);
	} else if (strcmp(command, "files") == 0)
		manyFiles((int)n);
	else if (strcmp(command, "opens") == 0)
		opens((int)n);
	else if (strcmp(command, "nest") == 0)
		printf("%d\n", depth((int)n));
	else if (strcmp(command, "yields") == 0)
		for (long i = 0; i < n; i++)
			sched_yield();
	else if (strcmp(command, "sleep") == 0)
		for (;;)
			sleep(3600);
	else {
		fprintf(stderr, "unknown command %s\n", command);
		return 2;
	}
	return 0;
}
