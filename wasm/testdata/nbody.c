// Planets around a sun: floating point in nested loops.
#include <math.h>
#include <stdio.h>

struct body {
	double x, y, z, vx, vy, vz, mass;
};

static struct body bodies[5] = {
	{0, 0, 0, 0, 0, 0, 39.47},
	{4.84, -1.16, -.10, .6, 2.8, -.02, .037},
	{8.34, 4.12, -.4, -1.01, 1.8, .008, .011},
	{12.8, -15.1, -.22, 1.08, .86, -.01, .0017},
	{15.3, -25.9, .179, .979, .594, -.034, .002},
};

int main(void) {
	for (int step = 0; step < 5000; step++) {
		for (int i = 0; i < 5; i++)
			for (int j = i + 1; j < 5; j++) {
				struct body *a = &bodies[i], *b = &bodies[j];
				double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
				double d = dx * dx + dy * dy + dz * dz;
				double f = .001 / (d * sqrt(d));
				a->vx -= dx * b->mass * f, a->vy -= dy * b->mass * f, a->vz -= dz * b->mass * f;
				b->vx += dx * a->mass * f, b->vy += dy * a->mass * f, b->vz += dz * a->mass * f;
			}
		for (int i = 0; i < 5; i++)
			bodies[i].x += .001 * bodies[i].vx, bodies[i].y += .001 * bodies[i].vy, bodies[i].z += .001 * bodies[i].vz;
	}
	printf("%.17g %.17g\n", bodies[0].x, sin(bodies[1].y));
	return 0;
}
