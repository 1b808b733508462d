// model.h: the file that a trained network is kept in, model.bin.
//
// A header of 24 bytes, then the weights as 32-bit floats, all little-endian:
//
//	first layer    pixels rows of hidden weights
//	first biases   hidden
//	second layer   digits rows of hidden weights
//	second biases  digits

#ifndef MODEL_H
#define MODEL_H

#include <stddef.h>
#include <stdint.h>

enum {
	PIXELS = 64,      // of an image of 8 by 8
	DIGITS = 10,      // classes: 0 to 9
	MAX_HIDDEN = 256, // hidden units of the largest network
	HIDDEN_STEP = 16, // their number is a multiple of this
};

#define MODEL_MAGIC "digits1\n"
#define MODEL_MAGIC_SIZE 8

struct model_header {
	char magic[MODEL_MAGIC_SIZE];
	uint32_t pixels;
	uint32_t hidden;
	uint32_t digits;
	uint32_t weights; // floats that follow
};

// model_weights is how many weights, biases included, a network has.
static inline size_t model_weights(size_t hidden) { return PIXELS * hidden + hidden + DIGITS * hidden + DIGITS; }

// model_size is the size of its file in bytes.
static inline size_t model_size(size_t hidden)
{
	return sizeof(struct model_header) + model_weights(hidden) * sizeof(float);
}

#endif
