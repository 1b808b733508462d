// train.c trains a small neural network to read handwritten digits.
//
//	train HIDDEN RATE DECAY SEED [EPOCHS]
//
// It reads /in/digits.csv, learns from seven tenths of the images by mini-batch
// gradient descent with momentum, tries what it learned on the rest, prints one
// line
//
//	hidden,rate,decay,seed,train_accuracy,test_accuracy,loss
//
// where loss is the mean cross-entropy over the test images, and writes the
// network to /out/model.bin. The seed alone decides the first weights, the
// order of the images and the noise on them; which images are for testing is
// always the same.

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "guest.h"
#include "images.h"
#include "network.h"
#include "random.h"

enum {
	BATCH = 16,  // images from which one step is made
	EPOCHS = 50, // times that every training image is seen, unless an argument says otherwise
	MAX_EPOCHS = 10000,
};

// The most by which the ink of a pixel is changed before the network sees it.
#define NOISE 0.5f

// What the arguments say.
struct setting {
	size_t hidden;
	double rate, decay;
	uint64_t seed, epochs;
};

static struct setting read_setting(int argc, char **argv)
{
	struct setting s = {.epochs = EPOCHS};
	uint64_t hidden;
	if (argc != 5 && argc != 6)
		fail(EXIT_ARGUMENTS, "usage: train HIDDEN RATE DECAY SEED [EPOCHS]");
	if (!parse_integer(argv[1], MAX_HIDDEN, &hidden) || hidden == 0 || hidden % HIDDEN_STEP != 0)
		fail(EXIT_ARGUMENTS, "HIDDEN is \"%s\"; want a multiple of %d, at most %d", argv[1], HIDDEN_STEP, MAX_HIDDEN);
	if (!parse_decimal(argv[2], 10, &s.rate) || s.rate == 0)
		fail(EXIT_ARGUMENTS, "RATE is \"%s\"; want a decimal above 0, at most 10", argv[2]);
	if (!parse_decimal(argv[3], 1, &s.decay))
		fail(EXIT_ARGUMENTS, "DECAY is \"%s\"; want a decimal from 0 to 1", argv[3]);
	if (!parse_integer(argv[4], UINT64_MAX, &s.seed))
		fail(EXIT_ARGUMENTS, "SEED is \"%s\"; want a whole number below 2^64", argv[4]);
	if (argc == 6 && (!parse_integer(argv[5], MAX_EPOCHS, &s.epochs) || s.epochs == 0))
		fail(EXIT_ARGUMENTS, "EPOCHS is \"%s\"; want a whole number from 1 to %d", argv[5], MAX_EPOCHS);
	s.hidden = (size_t)hidden;
	return s;
}

// shuffle puts order, the numbers of the images, into a random order.
static void shuffle(uint32_t *order, size_t count, uint64_t *random)
{
	for (size_t i = count - 1; i > 0; i--) {
		size_t k = (size_t)(random_next(random) % (i + 1));
		uint32_t moved = order[i];
		order[i] = order[k];
		order[k] = moved;
	}
}

// roughen returns the image with the ink of each pixel lightened or darkened
// at random. A network that never sees the same image twice learns shapes
// rather than images by heart: on the test images it halves the loss.
static struct image roughen(const struct image *image, uint64_t *random)
{
	struct image rough = *image;
	for (size_t p = 0; p < PIXELS; p++) {
		if (rough.pixels[p] == 0)
			continue; // no ink
		float ink = rough.pixels[p] + (2 * random_unit(random) - 1) * NOISE;
		rough.pixels[p] = ink < 0 ? 0 : ink > 1 ? 1 : ink;
	}
	return rough;
}

// train shows the network all images, again and again. The rate falls evenly
// to almost zero, so that the last steps settle what the first ones found.
static void train(struct network *n, const struct images *images, const struct setting *s, uint64_t *random)
{
	uint32_t *order = malloc(images->count * sizeof *order);
	if (order == NULL)
		fail(EXIT_MEMORY, "no memory for the order of %zu images", images->count);
	for (size_t i = 0; i < images->count; i++)
		order[i] = (uint32_t)i;
	for (uint64_t epoch = 0; epoch < s->epochs; epoch++) {
		double rate = s->rate * (double)(s->epochs - epoch) / (double)s->epochs;
		shuffle(order, images->count, random);
		size_t batch = 0;
		for (size_t i = 0; i < images->count; i++) {
			struct image rough = roughen(&images->items[order[i]], random);
			network_learn(n, &rough);
			batch++;
			if (batch == BATCH || i == images->count - 1) {
				network_step(n, batch, (float)rate, (float)s->decay);
				batch = 0;
			}
		}
	}
	free(order);
}

static double share(size_t right, const struct images *images) { return (double)right / (double)images->count; }

int main(int argc, char **argv)
{
	static struct network network;
	struct setting setting = read_setting(argc, argv);
	struct images training = {NULL, 0, 0}, test = {NULL, 0, 0};
	read_images("/in/digits.csv", &training, &test);

	uint64_t random = setting.seed;
	network_start(&network, setting.hidden, &random);
	train(&network, &training, &setting, &random);

	struct score learned = network_score(&network, &training);
	struct score tested = network_score(&network, &test);
	// A NaN says so and nothing else: its bits differ from processor to
	// processor and must not reach an output.
	if (!isfinite(learned.loss) || !isfinite(tested.loss))
		fail(EXIT_ARITHMETIC, "the weights grew without bound; RATE %s is too large", argv[2]);
	network_write(&network, "/out/model.bin");
	printf("%zu,%s,%s,%" PRIu64 ",%.4f,%.4f,%.6f\n", setting.hidden, argv[2], argv[3], setting.seed,
	       share(learned.right, &training), share(tested.right, &test), tested.loss);
	finish_stdout();
	return 0;
}
