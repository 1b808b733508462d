// network.c: forwards, backwards, and one step downhill.

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "network.h"
#include "random.h"

// Hidden units that are computed together: four vector registers of them.
enum { BLOCK = HIDDEN_STEP };

// How much of its velocity a weight keeps from one step to the next.
static const float momentum = 0.9f;

// randomize fills weights evenly from -reach to reach, where reach suits units
// that have so many inputs and are linear above zero (He).
static void randomize(float *weights, size_t count, size_t inputs, uint64_t *random)
{
	float reach = sqrtf(6.0f / (float)inputs);
	for (size_t i = 0; i < count; i++)
		weights[i] = (2 * random_unit(random) - 1) * reach;
}

void network_start(struct network *n, size_t hidden, uint64_t *random)
{
	memset(n, 0, sizeof *n);
	n->hidden = hidden;
	randomize(n->weights.first, PIXELS * hidden, PIXELS, random);
	randomize(n->weights.second, DIGITS * hidden, hidden, random);
}

// add_scaled adds factor * x to y, count numbers each: a multiple of BLOCK.
static void add_scaled(float *restrict y, const float *restrict x, float factor, size_t count)
{
	for (size_t i = 0; i < count; i += BLOCK)
		for (size_t k = 0; k < BLOCK; k++)
			y[i + k] += factor * x[i + k];
}

// dot is the scalar product of x and y, summed in four strands that one vector
// register holds. count is a multiple of BLOCK.
static float dot(const float *x, const float *y, size_t count)
{
	float sum[4] = {0, 0, 0, 0};
	for (size_t i = 0; i < count; i += 4)
		for (size_t k = 0; k < 4; k++)
			sum[k] += x[i + k] * y[i + k];
	return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// excite computes the hidden units, a block at a time, whose sums stay in
// registers while the pixels go by.
static void excite(const struct network *n, const struct image *image, float *hidden)
{
	for (size_t i = 0; i < n->hidden; i += BLOCK) {
		float sum[BLOCK];
		memcpy(sum, n->weights.first_bias + i, sizeof sum);
		for (size_t p = 0; p < PIXELS; p++) {
			float ink = image->pixels[p];
			if (ink == 0)
				continue; // so are half of all pixels
			const float *row = n->weights.first + p * n->hidden + i;
			for (size_t k = 0; k < BLOCK; k++)
				sum[k] += ink * row[k];
		}
		for (size_t k = 0; k < BLOCK; k++)
			hidden[i + k] = sum[k] > 0 ? sum[k] : 0;
	}
}

// forward computes the hidden units and the probability of each digit, and
// returns the cross-entropy: how surprised the network is by the right digit.
static float forward(const struct network *n, const struct image *image, float *hidden, float *probability)
{
	const struct layers *w = &n->weights;
	excite(n, image, hidden);
	float output[DIGITS], largest = -INFINITY, sum = 0;
	for (size_t d = 0; d < DIGITS; d++) {
		output[d] = dot(hidden, w->second + d * n->hidden, n->hidden) + w->second_bias[d];
		largest = output[d] > largest ? output[d] : largest;
	}
	// Taken from the largest, no exponential overflows, and the sum is at least 1.
	for (size_t d = 0; d < DIGITS; d++)
		sum += probability[d] = expf(output[d] - largest);
	for (size_t d = 0; d < DIGITS; d++)
		probability[d] /= sum;
	return logf(sum) + largest - output[image->digit];
}

void network_learn(struct network *n, const struct image *image)
{
	float hidden[MAX_HIDDEN], back[MAX_HIDDEN], probability[DIGITS];
	struct layers *g = &n->gradient;
	forward(n, image, hidden, probability);
	memset(back, 0, n->hidden * sizeof *back);
	for (size_t d = 0; d < DIGITS; d++) {
		float error = probability[d] - (d == image->digit ? 1.0f : 0.0f);
		add_scaled(back, n->weights.second + d * n->hidden, error, n->hidden);
		add_scaled(g->second + d * n->hidden, hidden, error, n->hidden);
		g->second_bias[d] += error;
	}
	// Units that are silent for this image learn nothing from it.
	for (size_t i = 0; i < n->hidden; i++)
		back[i] = hidden[i] > 0 ? back[i] : 0;
	for (size_t p = 0; p < PIXELS; p++)
		if (image->pixels[p] != 0)
			add_scaled(g->first + p * n->hidden, back, image->pixels[p], n->hidden);
	add_scaled(g->first_bias, back, 1, n->hidden);
}

// step moves one array of weights and empties its gradient.
static void step(float *restrict weights, float *restrict gradient, float *restrict velocity, size_t count, float share,
                 float rate, float decay)
{
	for (size_t i = 0; i < count; i++) {
		float slope = gradient[i] * share + weights[i] * decay;
		velocity[i] = velocity[i] * momentum - slope * rate;
		weights[i] += velocity[i];
		gradient[i] = 0;
	}
}

void network_step(struct network *n, size_t batch, float rate, float decay)
{
	struct layers *w = &n->weights, *g = &n->gradient, *v = &n->velocity;
	float share = 1 / (float)batch;
	step(w->first, g->first, v->first, PIXELS * n->hidden, share, rate, decay);
	step(w->first_bias, g->first_bias, v->first_bias, n->hidden, share, rate, 0);
	step(w->second, g->second, v->second, DIGITS * n->hidden, share, rate, decay);
	step(w->second_bias, g->second_bias, v->second_bias, DIGITS, share, rate, 0);
}

struct score network_score(const struct network *n, const struct images *images)
{
	float hidden[MAX_HIDDEN], probability[DIGITS];
	struct score score = {0, 0};
	for (size_t i = 0; i < images->count; i++) {
		score.loss += (double)forward(n, &images->items[i], hidden, probability);
		size_t guess = 0;
		for (size_t d = 1; d < DIGITS; d++)
			guess = probability[d] > probability[guess] ? d : guess;
		score.right += guess == images->items[i].digit;
	}
	score.loss /= (double)images->count;
	return score;
}

// put copies count floats to *end and moves it behind them.
static void put(char **end, const float *values, size_t count)
{
	memcpy(*end, values, count * sizeof *values);
	*end += count * sizeof *values;
}

void network_write(const struct network *n, const char *path)
{
	struct model_header header = {
	    .magic = MODEL_MAGIC,
	    .pixels = PIXELS,
	    .hidden = (uint32_t)n->hidden,
	    .digits = DIGITS,
	    .weights = (uint32_t)model_weights(n->hidden),
	};
	static char bytes[sizeof header + sizeof n->weights];
	char *end = bytes;
	memcpy(end, &header, sizeof header);
	end += sizeof header;
	put(&end, n->weights.first, PIXELS * n->hidden);
	put(&end, n->weights.first_bias, n->hidden);
	put(&end, n->weights.second, DIGITS * n->hidden);
	put(&end, n->weights.second_bias, DIGITS);
	write_file(path, bytes, (size_t)(end - bytes));
}
