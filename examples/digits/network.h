// network.h: a neural network with one hidden layer, and how it learns.
//
//	hidden = max(0, first * pixels + first_bias)
//	probabilities = softmax(second * hidden + second_bias)
//
// It computes in 32-bit floats, in a fixed order of operations, and takes its
// exponentials from the C library inside this module: the same seed gives the
// same bits on every machine.

#ifndef NETWORK_H
#define NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images.h"
#include "model.h"

// One number for each connection of a network: its weights, or their
// gradients, or their velocities. Rows have as many entries as the network has
// hidden units, so that every inner loop runs along memory.
struct layers {
	float first[PIXELS * MAX_HIDDEN]; // a row for each pixel
	float first_bias[MAX_HIDDEN];
	float second[DIGITS * MAX_HIDDEN]; // a row for each digit
	float second_bias[DIGITS];
};

struct network {
	size_t hidden; // a multiple of HIDDEN_STEP, up to MAX_HIDDEN: no inner loop has a remainder
	struct layers weights;
	struct layers gradient; // summed over the images of a batch
	struct layers velocity; // of the weights: momentum
};

// How good a network is on some images.
struct score {
	size_t right;
	double loss; // mean cross-entropy, in nats
};

// network_start gives an empty network small random weights.
void network_start(struct network *n, size_t hidden, uint64_t *random);

// network_learn adds what one image teaches to the gradient.
void network_learn(struct network *n, const struct image *image);

// network_step moves the weights against the gradient of a batch of images,
// with momentum, and pulls them towards zero by decay (L2); biases are not
// pulled. The gradient is empty afterwards.
void network_step(struct network *n, size_t batch, float rate, float decay);

// network_score tries the network on images; there is at least one.
struct score network_score(const struct network *n, const struct images *images);

// network_write writes the network in the form that model.h describes.
void network_write(const struct network *n, const char *path);

#endif
