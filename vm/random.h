/* The random numbers of a task: a stream of its own for every future and every element of a map, of either kind of
 * generator, reached only when the first number is drawn, so that what draws nothing pays nothing. math.random in a
 * task and mf.rng.current() draw from it. */
#ifndef MF_RANDOM_H
#define MF_RANDOM_H

#include <lua.h>

#include "../runtime/rng.h"

#define MF_RANDOM_KINDS 2

/* Belongs to the thread of its state. All zero bytes: the numbers of seed 0. */
struct mf_random {
    uint64_t seed, stream; /* what is selected; streams count from 1, 0 is the seed's own numbers before them */
    unsigned reached;      /* bit k: rng[k] is in the selected stream */
    struct mf_rng rng[MF_RANDOM_KINDS]; /* by kind */
    struct mf_rng start; /* MRG32k3a where stream start_stream of start_seed begins: the next one is one jump away */
    uint64_t start_seed, start_stream;
};

/* From now on numbers come from the start of that stream. */
static inline void mf_random_select(struct mf_random *r, uint64_t seed, uint64_t stream)
{
    r->seed = seed;
    r->stream = stream;
    r->reached = 0;
}

/* The generator of that kind, in the selected stream. */
struct mf_rng *mf_random_reach(struct mf_random *r, enum mf_rng_kind kind);

/* A seed for the streams of what the selected stream's task starts itself. */
uint64_t mf_random_inner_seed(const struct mf_random *r);

/* Replaces math.random and math.randomseed in the open libraries by ones that draw from r, which must outlive L. */
void mf_random_open(lua_State *L, struct mf_random *r);

/* The same in a fork of an owner, for the functions themselves, wherever the owner's modules have kept them. */
void mf_random_take_over(lua_State *L, struct mf_random *r);

#endif
