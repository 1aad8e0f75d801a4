/* Design note: functions that processors have are loops of their own for each dtype; those of the C library are called for
 * one f64 after the other, and other dtypes are converted there and back. */
#include <math.h>

#include "array_kernel.h"

#define UNARY(NAME, T, R, EXPR)                                                                                        \
    MF_KERNEL static size_t NAME(void *out, ptrdiff_t so, const void *in_a, ptrdiff_t sa, const void *in_b,            \
                                 ptrdiff_t sb, size_t n)                                                               \
    {                                                                                                                  \
        R *o = out;                                                                                                    \
        const T *a = in_a;                                                                                             \
        (void)in_b, (void)sb;                                                                                          \
        MF_LOOP1(T, R, EXPR);                                                                                          \
        return n;                                                                                                      \
    }

#define WRAPPING(NAME, EXPR)                                                                                           \
    UNARY(NAME##_i64, uint64_t, uint64_t, EXPR)                                                                        \
    UNARY(NAME##_i32, uint32_t, uint32_t, EXPR)                                                                        \
    UNARY(NAME##_u8, uint8_t, uint8_t, EXPR)

UNARY(neg_f64, double, double, -x)
UNARY(neg_f32, float, float, -x)
WRAPPING(neg, 0 - x)
WRAPPING(bnot, ~x)

UNARY(abs_f64, double, double, fabs(x))
UNARY(abs_f32, float, float, fabsf(x))
UNARY(abs_i64, int64_t, uint64_t, x < 0 ? 0 - (uint64_t)x : (uint64_t)x)
UNARY(abs_i32, int32_t, uint32_t, x < 0 ? 0 - (uint32_t)x : (uint32_t)x)
UNARY(abs_u8, uint8_t, uint8_t, x)

/* What is not a number stays. */
UNARY(sign_f64, double, double, x > 0 ? 1 : x < 0 ? -1 : x)
UNARY(sign_f32, float, float, x > 0 ? 1 : x < 0 ? -1 : x)
UNARY(sign_i64, int64_t, int64_t, (x > 0) - (x < 0))
UNARY(sign_i32, int32_t, int32_t, (x > 0) - (x < 0))
UNARY(sign_u8, uint8_t, uint8_t, x != 0)

#define FLOAT_AND(NAME, F64, F32)                                                                                      \
    UNARY(NAME##_f64, double, double, F64(x))                                                                          \
    UNARY(NAME##_f32, float, float, F32(x))                                                                            \
    UNARY(NAME##_i64, int64_t, int64_t, x)                                                                             \
    UNARY(NAME##_i32, int32_t, int32_t, x)                                                                             \
    UNARY(NAME##_u8, uint8_t, uint8_t, x)

FLOAT_AND(floor, floor, floorf)
FLOAT_AND(ceil, ceil, ceilf)
FLOAT_AND(trunc, trunc, truncf)
FLOAT_AND(round, rint, rintf)

UNARY(sqrt_f64, double, double, sqrt(x))
UNARY(sqrt_f32, float, float, sqrtf(x))

#define TEST(NAME, FLOAT, INTEGER)                                                                                     \
    UNARY(NAME##_f64, double, uint8_t, FLOAT)                                                                          \
    UNARY(NAME##_f32, float, uint8_t, FLOAT)                                                                           \
    UNARY(NAME##_i64, int64_t, uint8_t, ((void)x, INTEGER))                                                            \
    UNARY(NAME##_i32, int32_t, uint8_t, ((void)x, INTEGER))                                                            \
    UNARY(NAME##_u8, uint8_t, uint8_t, ((void)x, INTEGER))

TEST(isnan, x != x, 0)
TEST(isfinite, x - x == 0, 1)

#define CALL(NAME)                                                                                                     \
    static size_t call_##NAME(void *out, ptrdiff_t so, const void *in_a, ptrdiff_t sa, const void *in_b, ptrdiff_t sb, \
                              size_t n)                                                                                \
    {                                                                                                                  \
        double *o = out;                                                                                               \
        const double *a = in_a;                                                                                        \
        (void)in_b, (void)sb;                                                                                          \
        for (size_t i = 0; i < n; i++)                                                                                 \
            o[(ptrdiff_t)i * so] = NAME(a[(ptrdiff_t)i * sa]);                                                         \
        return n;                                                                                                      \
    }

CALL(exp)
CALL(expm1)
CALL(log)
CALL(log1p)
CALL(log2)
CALL(log10)
CALL(sin)
CALL(cos)
CALL(tan)
CALL(asin)
CALL(acos)
CALL(atan)
CALL(sinh)
CALL(cosh)
CALL(tanh)

#define F64(NAME)                                                                                                      \
    {                                                                                                                  \
        [MF_F64] = call_##NAME                                                                                         \
    }
#define FLOATS(NAME)                                                                                                   \
    {                                                                                                                  \
        [MF_F64] = NAME##_f64, [MF_F32] = NAME##_f32                                                                   \
    }
#define WHOLES(NAME)                                                                                                   \
    {                                                                                                                  \
        [MF_I64] = NAME##_i64, [MF_I32] = NAME##_i32, [MF_U8] = NAME##_u8                                              \
    }
#define EVERY(NAME)                                                                                                    \
    {                                                                                                                  \
        [MF_F64] = NAME##_f64, [MF_F32] = NAME##_f32, [MF_I64] = NAME##_i64, [MF_I32] = NAME##_i32,                    \
        [MF_U8] = NAME##_u8                                                                                            \
    }

mf_kernel *const mf_kernels_unary[MF_UNARIES][MF_DTYPES] = {
    [MF_NEG] = EVERY(neg),     [MF_ABS] = EVERY(abs),
    [MF_SIGN] = EVERY(sign),   [MF_BNOT] = WHOLES(bnot),
    [MF_SQRT] = FLOATS(sqrt),  [MF_FLOOR] = EVERY(floor),
    [MF_CEIL] = EVERY(ceil),   [MF_TRUNC] = EVERY(trunc),
    [MF_ROUND] = EVERY(round), [MF_ISNAN] = EVERY(isnan),
    [MF_EXP] = F64(exp),       [MF_EXPM1] = F64(expm1),
    [MF_LOG] = F64(log),       [MF_LOG1P] = F64(log1p),
    [MF_LOG2] = F64(log2),     [MF_LOG10] = F64(log10),
    [MF_SIN] = F64(sin),       [MF_COS] = F64(cos),
    [MF_TAN] = F64(tan),       [MF_ASIN] = F64(asin),
    [MF_ACOS] = F64(acos),     [MF_ATAN] = F64(atan),
    [MF_SINH] = F64(sinh),     [MF_COSH] = F64(cosh),
    [MF_TANH] = F64(tanh),     [MF_ISFINITE] = EVERY(isfinite),
};
