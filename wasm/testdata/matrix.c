// A product of matrices, which the compiler turns into vector instructions.
#include <stdio.h>

#define N 64

static float a[N][N], b[N][N], c[N][N];

int main(void) {
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++)
			a[i][j] = i + j, b[i][j] = i - j;
	for (int i = 0; i < N; i++)
		for (int k = 0; k < N; k++)
			for (int j = 0; j < N; j++)
				c[i][j] += a[i][k] * b[k][j];
	printf("%g %g\n", c[17][33], c[N - 1][1]);
	return 0;
}
