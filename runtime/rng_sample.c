/* Design note: the same draws in the same order as R's sample: without replacement, the drawn index goes and the
 * last one takes its place; few out of very many, by drawing again what came before (a hash set remembers);
 * weighted, by walking down the weights from the greatest, or, when more than 200 of them are not negligible, by
 * the alias method of A. J. Walker, "An efficient method for generating discrete random variables with general
 * distributions", ACM Transactions on Mathematical Software 3 (1977). Weights are sorted by heapsort (J. W. J.
 * Williams, R. W. Floyd), since where equal weights end up decides which index is drawn. */
#include <stdlib.h>
#include <string.h>

#include "rng.h"

#define ALIAS_WEIGHTS 200       /* R uses the alias method for more weights than this that are not negligible: */
#define NEGLIGIBLE    0.1       /* less than this share of the mean weight */
#define HASH_ABOVE    10000000u /* populations for which a part of at most half is drawn with a hash set */

static void *allocate(size_t n, size_t size)
{
    return n > SIZE_MAX / size ? NULL : malloc(n && size ? n * size : 1);
}

/* --- Without weights ---------------------------------------------------------------------------------------------- */

static enum mf_err draw_out(struct mf_rng *rng, uint64_t population, int64_t *out, size_t n)
{
    int64_t *rest = population > SIZE_MAX ? NULL : allocate((size_t)population, sizeof *rest);
    if (!rest)
        return MF_ENOMEM;
    for (uint64_t i = 0; i < population; i++)
        rest[i] = (int64_t)i;
    for (size_t i = 0; i < n; i++) {
        uint64_t j = mf_rng_below(rng, population);
        out[i] = rest[j];
        rest[j] = rest[--population];
    }
    free(rest);
    return MF_OK;
}

/* A set of indices: open addressing; a place holds the index plus one. */
struct set {
    uint64_t *places;
    size_t mask;
};

/* False: it was there. */
static bool set_add(struct set *s, uint64_t index)
{
    uint64_t hash = index * 0x9e3779b97f4a7c15u;
    for (size_t at = (size_t)(hash ^ hash >> 32) & s->mask;; at = (at + 1) & s->mask) {
        if (s->places[at] == index + 1)
            return false;
        if (s->places[at] == 0) {
            s->places[at] = index + 1;
            return true;
        }
    }
}

static enum mf_err draw_again(struct mf_rng *rng, uint64_t population, int64_t *out, size_t n)
{
    struct set set = {.mask = 16};
    while (set.mask / 2 < n)
        set.mask *= 2;
    set.places = calloc(set.mask, sizeof *set.places);
    if (!set.places)
        return MF_ENOMEM;
    set.mask--;
    for (size_t i = 0; i < n; i++) {
        uint64_t index;
        do {
            index = mf_rng_below(rng, population);
        } while (!set_add(&set, index));
        out[i] = (int64_t)index;
    }
    free(set.places);
    return MF_OK;
}

enum mf_err mf_rng_sample(struct mf_rng *rng, uint64_t population, int64_t *out, size_t n)
{
    if (population > HASH_ABOVE && n <= population / 2)
        return draw_again(rng, population, out, n);
    return draw_out(rng, population, out, n);
}

/* --- With weights ------------------------------------------------------------------------------------------------- */

/* Probabilities with the indices they belong to. */
struct weighted {
    double *p;
    int64_t *index;
    size_t n;
};

/* Lets p and index sink from `at` until no lesser probability is below, in a heap of the places 0 .. end - 1. */
static void sink(struct weighted *w, size_t at, size_t end, double p, int64_t index)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= end)
            break;
        if (child + 1 < end && w->p[child] > w->p[child + 1])
            child++;
        if (!(p > w->p[child]))
            break;
        w->p[at] = w->p[child];
        w->index[at] = w->index[child];
        at = child;
    }
    w->p[at] = p;
    w->index[at] = index;
}

/* Greatest first. */
static void sort(struct weighted *w)
{
    for (size_t at = w->n / 2; at-- > 0;)
        sink(w, at, w->n, w->p[at], w->index[at]);
    for (size_t end = w->n; end-- > 1;) {
        double p = w->p[end];
        int64_t index = w->index[end];
        w->p[end] = w->p[0];
        w->index[end] = w->index[0];
        sink(w, 0, end, p, index);
    }
}

/* Each draw walks to the first sum of probabilities that reaches the uniform (here by bisection). */
static void walk_with_replacement(struct mf_rng *rng, struct weighted *w, int64_t *out, size_t n)
{
    sort(w);
    for (size_t i = 1; i < w->n; i++)
        w->p[i] += w->p[i - 1];
    for (size_t i = 0; i < n; i++) {
        double u = mf_rng_uniform(rng);
        size_t low = 0, high = w->n - 1; /* the last one needs no sum */
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (u <= w->p[middle])
                high = middle;
            else
                low = middle + 1;
        }
        out[i] = w->index[low];
    }
}

static void walk_without_replacement(struct mf_rng *rng, struct weighted *w, int64_t *out, size_t n)
{
    double total = 1;
    size_t left = w->n;
    sort(w);
    for (size_t i = 0; i < n; i++) {
        double u = total * mf_rng_uniform(rng), sum = 0;
        size_t j = 0;
        for (; j + 1 < left; j++) {
            sum += w->p[j];
            if (u <= sum)
                break;
        }
        out[i] = w->index[j];
        total -= w->p[j];
        left--;
        memmove(w->p + j, w->p + j + 1, (left - j) * sizeof *w->p);
        memmove(w->index + j, w->index + j + 1, (left - j) * sizeof *w->index);
    }
}

/* Squares the histogram: fills each column up to the mean from one that is higher. order is for n indices: those of low
 * columns from its start on, those of high ones from its end down. */
static void fill_columns(struct weighted *w, int64_t *order)
{
    double *height = w->p;
    size_t low = 0, high = w->n;
    for (size_t i = 0; i < w->n; i++) {
        height[i] *= (double)w->n;
        if (height[i] < 1.)
            order[low++] = (int64_t)i;
        else
            order[--high] = (int64_t)i;
    }
    for (size_t k = 0; low > 0 && k + 1 < w->n && high < w->n; k++) {
        int64_t i = order[k], j = order[high];
        w->index[i] = j;
        height[j] += height[i] - 1;
        if (height[j] < 1.)
            high++;
    }
}

static void alias(struct mf_rng *rng, struct weighted *w, int64_t *order, int64_t *out, size_t n)
{
    fill_columns(w, order);
    for (size_t i = 0; i < n; i++) {
        uint64_t k = mf_rng_below(rng, w->n);
        out[i] = mf_rng_uniform(rng) < w->p[k] ? (int64_t)k : w->index[k];
    }
}

static bool many_weights(const struct weighted *w)
{
    size_t count = 0;
    for (size_t i = 0; i < w->n; i++)
        count += (double)w->n * w->p[i] > NEGLIGIBLE;
    return count > ALIAS_WEIGHTS;
}

static void normalise(struct weighted *w, const double *weights)
{
    double sum = 0;
    for (size_t i = 0; i < w->n; i++)
        sum += weights[i];
    for (size_t i = 0; i < w->n; i++) {
        w->p[i] = weights[i] / sum;
        w->index[i] = (int64_t)i;
    }
}

enum mf_err mf_rng_sample_weighted(struct mf_rng *rng, const double *weights, size_t population, bool replace,
                                   int64_t *out, size_t n)
{
    struct weighted w = {.n = population};
    enum mf_err err = MF_ENOMEM;
    w.p = allocate(population, sizeof *w.p);
    w.index = allocate(population, 2 * sizeof *w.index); /* the second half is alias's order */
    if (!w.p || !w.index)
        goto release;
    err = MF_OK;
    normalise(&w, weights);
    if (!replace)
        walk_without_replacement(rng, &w, out, n);
    else if (many_weights(&w))
        alias(rng, &w, w.index + population, out, n);
    else
        walk_with_replacement(rng, &w, out, n);
release:
    free(w.index);
    free(w.p);
    return err;
}
