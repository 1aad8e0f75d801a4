/* Design note: a few quantiles are found by selection (C. A. R. Hoare, "Algorithm 65: find", 1961; the pivot is the
 * median of three, and a part that does not shrink fast enough is sorted instead), many by sorting once. */
#include <math.h>
#include <stdlib.h>

#include "stats.h"

#define FEW 8 /* quantiles: so many selections are faster than a sort */

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

/* Puts the median of the first, middle and last number into the middle, and the other two around it. */
static double median_of_three(double *x, size_t low, size_t high)
{
    size_t middle = low + (high - low) / 2;
    if (x[middle] < x[low])
        swap(&x[middle], &x[low]);
    if (x[high] < x[low])
        swap(&x[high], &x[low]);
    if (x[high] < x[middle])
        swap(&x[high], &x[middle]);
    return x[middle];
}

/* Puts number k of the sorted order into its place, none greater before it and none less behind it. There is no NaN. */
static void find(double *x, size_t n, size_t k)
{
    size_t low = 0, high = n - 1, patience = n;
    while (low < high) {
        double pivot = median_of_three(x, low, high);
        size_t i = low, j = high;
        for (;;) {
            while (x[i] < pivot)
                i++;
            while (x[j] > pivot)
                j--;
            if (i >= j)
                break;
            swap(&x[i++], &x[j--]);
        }
        if (k <= j)
            high = j;
        else
            low = j + 1;
        patience = patience / 8 * 7 + 7; /* what should be left by now, with little luck */
        if (high - low > 2 * patience) {
            qsort(x + low, high - low + 1, sizeof *x, compare);
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
    find(x, n, low);
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
