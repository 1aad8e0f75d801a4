/* What the files with loops over numbers share. Their loops are written so that a compiler can turn them into vector
 * instructions (make prints what it did with `make kernels`); the Makefile compiles these files, array_*.c, for speed. */
#ifndef MF_ARRAY_KERNEL_H
#define MF_ARRAY_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "array_ops.h"

/* One line of elements: n of them into o from a and b (b is a once more when there is one operand); strides in elements. All
 * operands are of one dtype. Returns n, or the number of the first element for which there is no result. */
typedef size_t mf_kernel(void *out, ptrdiff_t so, const void *in_a, ptrdiff_t sa, const void *in_b, ptrdiff_t sb,
                         size_t n);

/* For the dtypes that an operation is done in; NULL elsewhere. */
extern mf_kernel *const mf_kernels_binary[MF_BINARIES][MF_DTYPES];
extern mf_kernel *const mf_kernels_unary[MF_UNARIES][MF_DTYPES];

/* mf_kernels_cast[from][to]: conversion; stops at a number that does not fit. in_b is not looked at. */
extern mf_kernel *const mf_kernels_cast[MF_DTYPES][MF_DTYPES];

/* A function that is compiled a second time for processors with AVX2, of which the program picks one when it starts. What
 * is computed is the same: without contraction of products and sums, and with partial sums as the source says. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) &&                       \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MF_KERNEL __attribute__((target_clones("avx2", "default")))
#else
#define MF_KERNEL
#endif

/* In front of a loop whose turns do not depend on each other: what is written is what was read in the same turn, or is
 * not read at all. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed" /* it need not be a vector where vectors are not worth it */
#define MF_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define MF_INDEPENDENT _Pragma("GCC ivdep")
#else
#define MF_INDEPENDENT
#endif

/* Four numbers that are computed with at once, where the order of a sum is fixed by the source. At any address. Processors
 * without such registers do it in halves. */
typedef double mf_wide __attribute__((vector_size(32), aligned(8), may_alias));
typedef int64_t mf_wide_mask __attribute__((vector_size(32), aligned(8), may_alias));
#define MF_WIDES 4 /* independent ones, so that one need not wait for the other */
#define MF_LANES (4 * MF_WIDES)

/* Loops with two inputs x and y (of type T, at a and b) and one output (of type R, at o), in the ways that are common, and
 * in any other. */
#define MF_LOOP2(T, R, EXPR)                                                                                           \
    do {                                                                                                               \
        if (so == 1 && sa == 1 && sb == 1) {                                                                           \
            MF_INDEPENDENT                                                                                             \
            for (size_t i = 0; i < n; i++) {                                                                           \
                const T x = a[i], y = b[i];                                                                            \
                o[i] = (R)(EXPR);                                                                                      \
            }                                                                                                          \
        } else if (so == 1 && sa == 1 && sb == 0) {                                                                    \
            const T y = *b;                                                                                            \
            MF_INDEPENDENT                                                                                             \
            for (size_t i = 0; i < n; i++) {                                                                           \
                const T x = a[i];                                                                                      \
                o[i] = (R)(EXPR);                                                                                      \
            }                                                                                                          \
        } else if (so == 1 && sa == 0 && sb == 1) {                                                                    \
            const T x = *a;                                                                                            \
            MF_INDEPENDENT                                                                                             \
            for (size_t i = 0; i < n; i++) {                                                                           \
                const T y = b[i];                                                                                      \
                o[i] = (R)(EXPR);                                                                                      \
            }                                                                                                          \
        } else {                                                                                                       \
            for (size_t i = 0; i < n; i++) {                                                                           \
                const T x = a[(ptrdiff_t)i * sa], y = b[(ptrdiff_t)i * sb];                                            \
                o[(ptrdiff_t)i * so] = (R)(EXPR);                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

/* The same with one input x of type T at a. */
#define MF_LOOP1(T, R, EXPR)                                                                                           \
    do {                                                                                                               \
        if (so == 1 && sa == 1) {                                                                                      \
            MF_INDEPENDENT                                                                                             \
            for (size_t i = 0; i < n; i++) {                                                                           \
                const T x = a[i];                                                                                      \
                o[i] = (R)(EXPR);                                                                                      \
            }                                                                                                          \
        } else {                                                                                                       \
            for (size_t i = 0; i < n; i++) {                                                                           \
                const T x = a[(ptrdiff_t)i * sa];                                                                      \
                o[(ptrdiff_t)i * so] = (R)(EXPR);                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

#endif
