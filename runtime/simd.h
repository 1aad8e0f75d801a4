/* Vectors, for loops over numbers that must be fast: what every file with such loops would otherwise say for
 * itself.
 *
 * A loop is written once, as an MF_SIMD_INLINE function, and called by two others, one compiled for AVX2 and one
 * for any machine; mf_simd_avx2 tells which to use. Both compute the same, to the last bit, as long as lanes are
 * explicit: the compiler neither fuses products with sums (-ffp-contract=off) nor changes the order of sums. */
#ifndef MF_SIMD_H
#define MF_SIMD_H

#include <stdbool.h>

#if defined __GNUC__
typedef double mf_simd_doubles __attribute__((vector_size(32)));
#define MF_SIMD_INLINE static inline __attribute__((always_inline))
#else
typedef double mf_simd_doubles;
#define MF_SIMD_INLINE static inline
#endif

#define MF_SIMD_WIDTH (sizeof(mf_simd_doubles) / sizeof(double))

/* Intrinsics of AVX2 can be used in functions marked MF_SIMD_AVX2, which may be called when mf_simd_avx2() says so.
 * To test the other ones on such a machine: make test BUILD=build/plain CPPFLAGS=-DMF_SIMD_PLAIN */
#if defined __x86_64__ && defined __GNUC__ && !defined MF_SIMD_PLAIN
#define MF_SIMD_X86  1
#define MF_SIMD_AVX2 __attribute__((target("avx2")))
static inline bool mf_simd_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}
#else
#define MF_SIMD_X86 0
#define MF_SIMD_AVX2
static inline bool mf_simd_avx2(void)
{
    return false;
}
#endif

#endif
