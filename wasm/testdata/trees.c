// Trees that are built, walked and thrown away: many calls, and memory that
// grows.
#include <stdio.h>
#include <stdlib.h>

struct tree {
	struct tree *left, *right;
};

static struct tree *grow(int depth) {
	struct tree *t = malloc(sizeof *t);
	t->left = depth ? grow(depth - 1) : 0;
	t->right = depth ? grow(depth - 1) : 0;
	return t;
}

static int count(struct tree *t) { return t ? 1 + count(t->left) + count(t->right) : 0; }

static void fell(struct tree *t) {
	if (t) {
		fell(t->left);
		fell(t->right);
		free(t);
	}
}

int main(void) {
	int n = 0;
	for (int round = 0; round < 3; round++) {
		struct tree *t = grow(12);
		n += count(t);
		fell(t);
	}
	printf("%d\n", n);
	return 0;
}
