/* Design note: the product goes by panels, as in Goto and van de Geijn, "Anatomy of high-performance matrix multiplication"
 * (2008): a block of the right matrix is packed into strips as wide as the kernel, a block of the left one into strips
 * as high as it, and the kernel keeps a small tile of the result in registers while it runs along both. Packing
 * converts, so the kernel knows only doubles and 64-bit integers; and it takes any strides. */
#include "array_linear.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "array_job.h"

#define ROWS   4 /* of the tile */
#define COLS   8
#define DEPTH  256    /* of the panels */
#define HEIGHT 128    /* rows of the left panel */
#define WIDTH  512    /* columns of the right panel */
#define WORTH  4096.0 /* multiplications from which a library is worth its call */

/* A matrix: any array of two dimensions, or a vector in the place of one. */
struct matrix {
    enum mf_dtype dtype, cell; /* what it has, and what is computed with: f64 or i64 */
    const char *data;
    size_t rows, cols;
    ptrdiff_t down, right; /* elements from one row to the next, from one column to the next */
};

union cell {
    double real;
    int64_t whole;
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* --- Packing ----------------------------------------------------------------------------------------------------- */

/* Copies n elements at one distance into cells `step` apart. */
static void pack_line(const struct matrix *m, const char *at, ptrdiff_t stride, size_t n, union cell *out, size_t step)
{
    mf_kernels_cast[m->dtype][m->cell](out, (ptrdiff_t)step, at, stride, NULL, 0, n);
}

static const char *element(const struct matrix *m, size_t row, size_t col)
{
    return m->data + ((ptrdiff_t)row * m->down + (ptrdiff_t)col * m->right) * (ptrdiff_t)mf_dtypes[m->dtype].size;
}

/* Rows row.., columns col.. into strips of ROWS rows, each running down its columns; missing rows are zero. */
static void pack_left(const struct matrix *m, size_t row, size_t rows, size_t col, size_t depth, union cell *out)
{
    for (size_t i = 0; i < rows; i += ROWS, out += ROWS * depth)
        for (size_t k = 0; k < ROWS; k++) {
            if (i + k < rows)
                pack_line(m, element(m, row + i + k, col), m->right, depth, out + k, ROWS);
            else
                for (size_t p = 0; p < depth; p++)
                    memset(&out[p * ROWS + k], 0, sizeof *out);
        }
}

/* Rows row.., columns col.. into strips of COLS columns, each running down its rows; missing columns are zero. */
static void pack_right(const struct matrix *m, size_t row, size_t depth, size_t col, size_t cols, union cell *out)
{
    for (size_t j = 0; j < cols; j += COLS, out += COLS * depth) {
        size_t wide = least(COLS, cols - j);
        for (size_t p = 0; p < depth; p++) {
            pack_line(m, element(m, row + p, col + j), m->right, wide, out + p * COLS, 1);
            if (wide < COLS)
                memset(out + p * COLS + wide, 0, (COLS - wide) * sizeof *out);
        }
    }
}

/* --- The kernel -------------------------------------------------------------------------------------------------- */

/* Adds the product of a left and a right strip to the tile at c, of which rows x cols count. */
#define TILE(NAME, T)                                                                                                  \
    MF_KERNEL static void NAME(const T *a, const T *b, size_t depth, T *c, size_t width, size_t rows, size_t cols)     \
    {                                                                                                                  \
        T sum[ROWS][COLS] = {{0}};                                                                                     \
        for (size_t p = 0; p < depth; p++, a += ROWS, b += COLS)                                                       \
            for (size_t i = 0; i < ROWS; i++)                                                                          \
                for (size_t j = 0; j < COLS; j++)                                                                      \
                    sum[i][j] += a[i] * b[j];                                                                          \
        for (size_t i = 0; i < rows; i++)                                                                              \
            for (size_t j = 0; j < cols; j++)                                                                          \
                c[i * width + j] += sum[i][j];                                                                         \
    }

TILE(tile_reals, double)
TILE(tile_integers, uint64_t)

/* The product of two packed panels is added to c, whose rows are `width` long. */
static void multiply_panels(bool integers, const union cell *a, const union cell *b, size_t rows, size_t cols,
                            size_t depth, union cell *c, size_t width)
{
    for (size_t j = 0; j < cols; j += COLS)
        for (size_t i = 0; i < rows; i += ROWS) {
            const void *left = a + i * depth, *right = b + j * depth;
            void *tile = c + i * width + j;
            size_t high = least(ROWS, rows - i), wide = least(COLS, cols - j);
            if (integers)
                tile_integers(left, right, depth, tile, width, high, wide);
            else
                tile_reals(left, right, depth, tile, width, high, wide);
        }
}

/* c, of zeros, becomes a times b. False when memory is out. */
static bool multiply(const struct matrix *a, const struct matrix *b, union cell *c)
{
    bool integers = a->cell == MF_I64;
    union cell *room = malloc((HEIGHT + WIDTH) * (size_t)DEPTH * sizeof *room);
    if (!room)
        return false;
    union cell *left = room, *right = room + HEIGHT * DEPTH;
    for (size_t j = 0; j < b->cols; j += WIDTH) {
        size_t cols = least(WIDTH, b->cols - j);
        for (size_t p = 0; p < a->cols; p += DEPTH) {
            size_t depth = least(DEPTH, a->cols - p);
            pack_right(b, p, depth, j, cols, right);
            for (size_t i = 0; i < a->rows; i += HEIGHT) {
                size_t rows = least(HEIGHT, a->rows - i);
                pack_left(a, i, rows, p, depth, left);
                multiply_panels(integers, left, right, rows, cols, depth, c + i * b->cols + j, b->cols);
            }
        }
    }
    free(room);
    return true;
}

/* --- Vectors ----------------------------------------------------------------------------------------------------- */

MF_KERNEL static double dot_reals(const double *x, const double *y, size_t n)
{
    mf_wide wide[MF_WIDES] = {{0}};
    double lane[MF_LANES];
    size_t i = 0;
    for (; i + MF_LANES <= n; i += MF_LANES)
        for (size_t k = 0; k < MF_WIDES; k++)
            wide[k] += ((const mf_wide *)(x + i))[k] * ((const mf_wide *)(y + i))[k];
    memcpy(lane, wide, sizeof lane);
    for (size_t k = 0; i < n; i++, k++)
        lane[k] += x[i] * y[i];
    for (size_t width = MF_LANES / 2; width > 0; width /= 2)
        for (size_t k = 0; k < width; k++)
            lane[k] += lane[k + width];
    return lane[0];
}

MF_KERNEL static uint64_t dot_integers(const uint64_t *x, const uint64_t *y, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

/* n elements of the first row of a line of cells: where they are, or converted into room. */
static const void *cells_of(const struct matrix *m, const char *at, size_t n, union cell *room)
{
    if (m->dtype == m->cell && m->right == 1)
        return at;
    pack_line(m, at, m->right, n, room, 1);
    return room;
}

/* The product of n elements of a row of each, in halves of halves, so that rounding errors stay small. */
static union cell dot(const struct matrix *a, const char *at_a, const struct matrix *b, const char *at_b, size_t n)
{
    union cell x_room[DEPTH], y_room[DEPTH], result, rest;
    if (n <= DEPTH) {
        const void *x = cells_of(a, at_a, n, x_room), *y = cells_of(b, at_b, n, y_room);
        if (a->cell == MF_I64)
            result.whole = (int64_t)dot_integers(x, y, n);
        else
            result.real = dot_reals(x, y, n);
        return result;
    }
    size_t half = (n / 2 + DEPTH - 1) / DEPTH * DEPTH;
    ptrdiff_t size_a = mf_dtypes[a->dtype].size, size_b = mf_dtypes[b->dtype].size;
    result = dot(a, at_a, b, at_b, half);
    rest = dot(a, at_a + (ptrdiff_t)half * a->right * size_a, b, at_b + (ptrdiff_t)half * b->right * size_b, n - half);
    if (a->cell == MF_I64)
        result.whole = (int64_t)((uint64_t)result.whole + (uint64_t)rest.whole);
    else
        result.real += rest.real;
    return result;
}

/* Each row of a times the vector b. */
static void multiply_rows(const struct matrix *a, const struct matrix *b, union cell *c)
{
    struct matrix line = *b;
    line.right = b->down;
    for (size_t i = 0; i < a->rows; i++)
        c[i] = dot(a, element(a, i, 0), &line, b->data, a->cols);
}

/* --- The library ------------------------------------------------------------------------------------------------- */

/* How CBLAS sees a matrix: with rows or columns next to each other. False: it does not. */
static bool describe(const struct matrix *m, int *turn, int *lead)
{
    bool plain = m->right == 1 && m->down >= (ptrdiff_t)m->cols,
         turned = m->down == 1 && m->right >= (ptrdiff_t)m->rows;
    ptrdiff_t distance = plain ? m->down : m->right;
    *turn = plain ? MF_BLAS_PLAIN : MF_BLAS_TURNED;
    *lead = (int)distance;
    return (plain || turned) && distance >= 1 && distance <= INT_MAX && m->rows <= INT_MAX && m->cols <= INT_MAX;
}

/* False when the library is not there, or cannot do this. */
static bool multiply_by_library(struct mf_blas *blas, const struct matrix *a, const struct matrix *b, void *c)
{
    int turn_a, turn_b, lda, ldb;
    if (!blas || a->dtype != b->dtype || (a->dtype != MF_F64 && a->dtype != MF_F32) ||
        (double)a->rows * (double)a->cols * (double)b->cols < WORTH || !describe(a, &turn_a, &lda) ||
        !describe(b, &turn_b, &ldb))
        return false;
    int m = (int)a->rows, n = (int)b->cols, k = (int)a->cols;
    mf_blas_open(blas);
    if (a->dtype == MF_F64 && blas->dgemm)
        blas->dgemm(MF_BLAS_ROWS, turn_a, turn_b, m, n, k, 1, (const void *)a->data, lda, (const void *)b->data, ldb, 0,
                    c, n);
    else if (a->dtype == MF_F32 && blas->sgemm)
        blas->sgemm(MF_BLAS_ROWS, turn_a, turn_b, m, n, k, 1, (const void *)a->data, lda, (const void *)b->data, ldb, 0,
                    c, n);
    else
        return false;
    return true;
}

/* --- Products ---------------------------------------------------------------------------------------------------- */

static struct matrix as_matrix(const struct mf_array *a, enum mf_dtype cell, bool left)
{
    struct matrix m = {.dtype = a->dtype, .cell = cell, .data = mf_array_data(a)};
    bool row = a->ndim == 1 && left, column = a->ndim == 1 && !left;
    m.rows = row ? 1 : a->shape[0];
    m.cols = column ? 1 : a->shape[a->ndim - 1];
    m.down = row ? (ptrdiff_t)m.cols : a->stride[0];
    m.right = column ? 1 : a->stride[a->ndim - 1]; /* a vector is a row whose elements lie so, too */
    return m;
}

static enum mf_err refuse(const struct mf_array *a, const struct mf_array *b, struct mf_fault *fault)
{
    char text_a[MF_ARRAY_TEXT], text_b[MF_ARRAY_TEXT];
    mf_array_shape_text(a->ndim, a->shape, text_a);
    mf_array_shape_text(b->ndim, b->shape, text_b);
    if (a->ndim > 2 || b->ndim > 2)
        return mf_fault_set(fault, MF_EINVAL,
                            "cannot multiply shapes %s and %s: there are products of one and two axes only", text_a,
                            text_b);
    return mf_fault_set(fault, MF_EINVAL, "cannot multiply shapes %s and %s: %zu columns meet %zu rows", text_a, text_b,
                        a->shape[a->ndim - 1], b->shape[0]);
}

/* The shape of the result: its dimensions. */
static int product_shape(const struct mf_array *a, const struct mf_array *b, size_t *shape)
{
    int ndim = 0;
    if (a->ndim == 2)
        shape[ndim++] = a->shape[0];
    if (b->ndim == 2)
        shape[ndim++] = b->shape[1];
    if (ndim == 0)
        shape[ndim++] = 1;
    return ndim;
}

/* Computes in cells, and converts if the result is narrower. */
static enum mf_err multiply_in_cells(struct mf_heap *heap, const struct matrix *a, const struct matrix *b, int ndim,
                                     const size_t *shape, enum mf_dtype dtype, struct mf_array *out,
                                     struct mf_fault *fault)
{
    struct mf_array cells = {0};
    enum mf_err e = mf_array_new(heap, &cells, a->cell, ndim, shape, true, fault);
    if (e == MF_OK && b->cols == 1)
        multiply_rows(a, b, mf_array_own(heap, &cells, fault));
    else if (e == MF_OK && !multiply(a, b, mf_array_own(heap, &cells, fault)))
        e = mf_fault_set(fault, MF_ENOMEM, "not enough memory for a product");
    if (e == MF_OK && cells.dtype != dtype)
        e = mf_array_convert(heap, &cells, dtype, out, fault);
    else if (e == MF_OK)
        *out = mf_array_view(&cells);
    mf_array_release(heap, &cells);
    return e;
}

enum mf_err mf_array_matmul(struct mf_heap *heap, struct mf_blas *blas, const struct mf_array *a,
                            const struct mf_array *b, struct mf_array *out, struct mf_fault *fault)
{
    size_t shape[2];
    if (a->ndim > 2 || b->ndim > 2 || a->shape[a->ndim - 1] != b->shape[0])
        return refuse(a, b, fault);
    int ndim = product_shape(a, b, shape);
    enum mf_dtype meet = mf_dtype_meet(a->dtype, b->dtype), dtype = mf_dtypes[meet].integer ? MF_I64 : meet;
    enum mf_dtype cell = dtype == MF_I64 ? MF_I64 : MF_F64;
    struct matrix left = as_matrix(a, cell, true), right = as_matrix(b, cell, false);
    enum mf_err e = mf_array_new(heap, out, dtype, ndim, shape, false, fault);
    if (e != MF_OK || multiply_by_library(blas, &left, &right, mf_array_own(heap, out, fault)))
        return e;
    mf_array_release(heap, out);
    return multiply_in_cells(heap, &left, &right, ndim, shape, dtype, out, fault);
}
