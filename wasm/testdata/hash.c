// SHA-256's inner loop over buffers that are copied and cleared: shifts and
// instructions on many bytes at once.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))

static uint32_t k[64], h[8];
static uint8_t buffer[1 << 14], copy[1 << 14];

static void hash_block(const uint8_t *p) {
	uint32_t w[64], s[8];
	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)p[4 * i] << 24 | p[4 * i + 1] << 16 | p[4 * i + 2] << 8 | p[4 * i + 3];
	for (int i = 16; i < 64; i++)
		w[i] = w[i - 16] + (ROTATE(w[i - 15], 7) ^ ROTATE(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
		       (ROTATE(w[i - 2], 17) ^ ROTATE(w[i - 2], 19) ^ w[i - 2] >> 10);
	memcpy(s, h, sizeof s);
	for (int i = 0; i < 64; i++) {
		uint32_t t = s[7] + (ROTATE(s[4], 6) ^ ROTATE(s[4], 11) ^ ROTATE(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
		uint32_t u = (ROTATE(s[0], 2) ^ ROTATE(s[0], 13) ^ ROTATE(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
		memmove(s + 1, s, 7 * sizeof s[0]);
		s[4] += t, s[0] = t + u;
	}
	for (int i = 0; i < 8; i++)
		h[i] += s[i];
}

int main(void) {
	for (uint32_t i = 0; i < 64; i++)
		k[i] = i * 2654435761u;
	for (int i = 0; i < 1 << 14; i++)
		buffer[i] = i * 7;
	for (int round = 0; round < 10; round++) {
		memset(copy, round, sizeof copy);
		memcpy(copy, buffer + 64 * round, sizeof copy / 2);
		for (int i = 0; i < 1 << 14; i += 64)
			hash_block(copy + i);
	}
	printf("%08x%08x\n", h[0], h[7]);
	return 0;
}
