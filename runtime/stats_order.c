/* Design note: a few quantiles are found by selection, many by sorting once. Selection is R. W. Floyd and R. L. Rivest,
 * "Algorithm 489: the algorithm SELECT", Communications of the ACM 18 (1975): the pivot is selected from a sample, such
 * that it most likely stands next to the number that is sought, and little more than half of the numbers are moved,
 * once. A part that does not shrink fast enough is sorted instead. */
#include <math.h>
#include <stdlib.h>

#include "stats.h"

#define FEW     8   /* quantiles: so many selections are faster than a sort */
#define SAMPLED 600 /* numbers: in more than these, a sample is worth its time */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void swap(double *a, double *b)
{
    double x = *a;
    *a = *b;
    *b = x;
}

/* Around the pivot x[k]: moves it to its place, which is returned, with none greater before it and none less behind. */
static ptrdiff_t split(double *x, ptrdiff_t low, ptrdiff_t high, ptrdiff_t k)
{
    double pivot = x[k];
    ptrdiff_t i = low, j = high;
    swap(&x[low], &x[k]);
    if (x[high] > pivot)
        swap(&x[high], &x[low]);
    while (i < j) {
        swap(&x[i++], &x[j--]);
        while (x[i] < pivot)
            i++;
        while (x[j] > pivot)
            j--;
    }
    if (x[low] == pivot)
        swap(&x[low], &x[j]);
    else
        swap(&x[++j], &x[high]);
    return j;
}

/* Puts number k of the sorted order of x[low .. high] into its place, none greater before it and none less behind
 * it. There is no NaN. */
static void find(double *x, ptrdiff_t low, ptrdiff_t high, ptrdiff_t k)
{
    for (double patience = (double)(high - low); high > low; patience *= 0.75) {
        double n = (double)(high - low + 1), place = (double)(k - low + 1);
        if (n > SAMPLED) {
            double z = log(n), size = 0.5 * exp(2 * z / 3);
            double spread = 0.5 * sqrt(z * size * (n - size) / n) * (place < n / 2 ? -1 : 1);
            double first = (double)k - place * size / n + spread, last = (double)k + (n - place) * size / n + spread;
            find(x, first > (double)low ? (ptrdiff_t)first : low, last < (double)high ? (ptrdiff_t)last : high, k);
        }
        ptrdiff_t j = split(x, low, high, k);
        if (j <= k)
            low = j + 1;
        if (k <= j)
            high = j - 1;
        if ((double)(high - low) > 4 * patience + SAMPLED) {
            qsort(x + low, (size_t)(high - low + 1), sizeof *x, compare);
            return;
        }
    }
}

static double least_of(const double *x, size_t n)
{
    double least = x[0];
    for (size_t i = 1; i < n; i++)
        least = x[i] < least ? x[i] : least;
    return least;
}

/* As R writes it, so that the last bit is R's. */
static double between(double low, double high, double part)
{
    return part > 0 && high != low ? (1 - part) * low + part * high : low;
}

static double sorted_quantile(const double *x, size_t n, double p)
{
    double at = (double)(n - 1) * p;
    size_t low = (size_t)at;
    return between(x[low], x[low + 1 < n ? low + 1 : low], at - (double)low);
}

static double found_quantile(double *x, size_t n, double p)
{
    double at = (double)(n - 1) * p;
    size_t low = (size_t)at;
    find(x, 0, (ptrdiff_t)n - 1, (ptrdiff_t)low);
    double part = at - (double)low;
    return part > 0 ? between(x[low], least_of(x + low + 1, n - low - 1), part) : x[low];
}

static bool any_nan(const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (x[i] != x[i])
            return true;
    return false;
}

void mf_stats_quantiles(double *data, size_t n, const double *p, size_t count, double *out)
{
    bool none = n == 0 || any_nan(data, n), many = count > FEW;
    if (!none && many)
        qsort(data, n, sizeof *data, compare);
    for (size_t i = 0; i < count; i++)
        out[i] = none ? NAN : many ? sorted_quantile(data, n, p[i]) : found_quantile(data, n, p[i]);
}

/* --- Weighted ----------------------------------------------------------------------------------------------------- */

/* The number that stands at place k (from 0) when each pair's value is written down `weight` times. */
static double weighted_at(const struct mf_stats_pair *pairs, size_t n, double k)
{
    double before = 0, last = NAN;
    for (size_t i = 0; i < n; i++) {
        if (pairs[i].weight <= 0)
            continue;
        before += pairs[i].weight;
        last = pairs[i].value;
        if (before > k)
            break;
    }
    return last;
}

void mf_stats_weighted_quantiles(struct mf_stats_pair *pairs, size_t n, const double *p, size_t count, double *out)
{
    double sum = 0;
    bool none = false;
    for (size_t i = 0; i < n; i++) {
        sum += pairs[i].weight;
        none = none || pairs[i].value != pairs[i].value;
    }
    none = none || !(sum > 0);
    if (!none)
        qsort(pairs, n, sizeof *pairs, compare); /* by the first member */
    for (size_t i = 0; i < count; i++) {
        double at = fmax(sum - 1, 0) * p[i], low = floor(at);
        out[i] = none ? NAN : between(weighted_at(pairs, n, low), weighted_at(pairs, n, low + 1), at - low);
    }
}

/* --- Counting ----------------------------------------------------------------------------------------------------- */

/* The last cell whose lower edge is at most v, which lies within the edges. */
static size_t cell_of(double v, const double *edges, size_t cells)
{
    size_t low = 0, high = cells;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (edges[middle] <= v)
            low = middle;
        else
            high = middle;
    }
    return low;
}

size_t mf_stats_count(const struct mf_stats_view *x, const double *edges, size_t cells, double *counts)
{
    size_t outside = 0;
    for (size_t i = 0; i < x->n; i++) {
        double v = x->data[(ptrdiff_t)i * x->stride];
        if (v >= edges[0] && v <= edges[cells])
            counts[cell_of(v, edges, cells)]++;
        else
            outside++;
    }
    return outside;
}
