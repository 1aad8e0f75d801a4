/* Standard normals and exponentials from philox by the ziggurat method of G. Marsaglia and W. W. Tsang, "The ziggurat
 * method for generating random variables", Journal of Statistical Software 5(8) (2000), with the layer and the place in
 * it taken from different bits, as J. Doornik, "An improved ziggurat method to generate normal random samples" (2005),
 * asks for. */
#ifndef MF_RNG_ZIGGURAT_H
#define MF_RNG_ZIGGURAT_H

#include <stddef.h>

#include "rng_philox.h"

/* n numbers from n words: a number that its word does not decide takes what else it needs from the word's side
 * stream. */
void mf_rng_ziggurat_normal(struct mf_rng_philox *rng, double *out, size_t n);
void mf_rng_ziggurat_exponential(struct mf_rng_philox *rng, double *out, size_t n);

/* The normal of one word that was drawn at that position, and one from words of a side stream. */
double mf_rng_ziggurat_normal_of(const struct mf_rng_philox *rng, uint64_t position, uint64_t word);
double mf_rng_ziggurat_normal_side(struct mf_rng_philox_side *side);

#define MF_RNG_ZIGGURAT_LAYERS 256

/* The right edges of the layers, from the bottom up: edge[1] is where the tail begins, edge[256] is 0; every layer
 * between edge[i] and edge[i + 1] has the same area, which is also that of the base strip with its tail, edge[0]
 * wide if it were a rectangle. Densities without their constants: exp(-x x / 2) and exp(-x). */
extern const double mf_rng_ziggurat_normal_edge[MF_RNG_ZIGGURAT_LAYERS + 1];
extern const double mf_rng_ziggurat_exponential_edge[MF_RNG_ZIGGURAT_LAYERS + 1];

#endif
