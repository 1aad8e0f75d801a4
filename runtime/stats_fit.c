/* Design note: A. S. Householder's reflections, column by column (G. Golub, "Numerical methods for solving linear
 * least squares problems", 1965): far more exact than the normal equations where columns are nearly dependent. A
 * reflection is applied to the columns behind it and to y at once and then forgotten; only the triangle stays.
 * Reflections keep a column's length, so that what is left of it below the diagonal, compared with all of it, tells
 * how much of it is new. */
#include <math.h>

#include "stats.h"

#define LANES     8
#define TOLERANCE 1e-7 /* R's lm has the same */

static double dot(const double *a, const double *b, size_t n)
{
    double lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            lane[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        lane[0] += a[i] * b[i];
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++)
            lane[k] += lane[k + half];
    return lane[0];
}

/* Turns column k into the reflection's vector below the diagonal, applies it to the columns behind. False: nothing
 * of the column is new. */
static bool reflect(double *columns, size_t n, size_t p, size_t k)
{
    double *v = columns + k * n + k, length = sqrt(dot(v, v, n - k));
    double above = dot(v - k, v - k, k);
    if (!(length > TOLERANCE * sqrt(above + length * length)))
        return false;
    double diagonal = v[0] > 0 ? -length : length;
    v[0] -= diagonal;
    double square = -diagonal * v[0]; /* half of v's squared length */
    for (size_t j = k + 1; j <= p; j++) {
        double *column = columns + j * n + k, factor = dot(v, column, n - k) / square;
        for (size_t i = 0; i < n - k; i++)
            column[i] -= factor * v[i];
    }
    v[0] = diagonal;
    return true;
}

/* Column i of the triangle's inverse, for each i. */
static void invert(const double *columns, size_t n, size_t p, double *inverse)
{
    for (size_t i = 0; i < p * p; i++)
        inverse[i] = 0;
    for (size_t i = 0; i < p; i++) {
        inverse[i * p + i] = 1 / columns[i * n + i];
        for (size_t row = i; row-- > 0;) {
            double sum = 0;
            for (size_t k = row + 1; k <= i; k++)
                sum += columns[k * n + row] * inverse[k * p + i];
            inverse[row * p + i] = -sum / columns[row * n + row];
        }
    }
}

size_t mf_stats_least_squares(double *columns, size_t n, size_t p, double *b, double *inverse)
{
    const double *y = columns + p * n;
    for (size_t k = 0; k < p; k++)
        if (!reflect(columns, n, p, k))
            return k;
    for (size_t k = p; k-- > 0;) {
        double sum = y[k];
        for (size_t j = k + 1; j < p; j++)
            sum -= columns[j * n + k] * b[j];
        b[k] = sum / columns[k * n + k];
    }
    if (inverse)
        invert(columns, n, p, inverse);
    return p;
}
