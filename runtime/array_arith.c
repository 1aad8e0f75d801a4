/* Design note: one loop for each operation and dtype, made by a macro from the expression for one element. Integers are
 * computed unsigned, so that they wrap around. What the C library has only for one number at a time (modulo, power) is a
 * call for each. */
#include <math.h>

#include "array_kernel.h"

#define BINARY(ATTRIBUTE, NAME, T, R, EXPR)                                                                            \
    ATTRIBUTE static size_t NAME(void *out, ptrdiff_t so, const void *in_a, ptrdiff_t sa, const void *in_b,            \
                                 ptrdiff_t sb, size_t n)                                                               \
    {                                                                                                                  \
        R *o = out;                                                                                                    \
        const T *a = in_a, *b = in_b;                                                                                  \
        MF_LOOP2(T, R, EXPR);                                                                                          \
        return n;                                                                                                      \
    }

/* Division of integers stops in front of a zero. */
#define DIVISION(NAME, T, EXPR)                                                                                        \
    static size_t NAME(void *out, ptrdiff_t so, const void *in_a, ptrdiff_t sa, const void *in_b, ptrdiff_t sb,        \
                       size_t n)                                                                                       \
    {                                                                                                                  \
        T *o = out;                                                                                                    \
        const T *a = in_a, *b = in_b;                                                                                  \
        for (size_t i = 0; i < n; i++) {                                                                               \
            const T x = a[(ptrdiff_t)i * sa], y = b[(ptrdiff_t)i * sb];                                                \
            if (y == 0)                                                                                                \
                return i;                                                                                              \
            o[(ptrdiff_t)i * so] = (T)(EXPR);                                                                          \
        }                                                                                                              \
        return n;                                                                                                      \
    }

/* --- Lua's arithmetic -------------------------------------------------------------------------------------------- */

static int64_t floor_div(int64_t x, int64_t y)
{
    if (y == -1)
        return (int64_t)(0 - (uint64_t)x); /* the least integer has no negative */
    int64_t q = x / y;
    return q - ((x % y != 0) && ((x ^ y) < 0));
}

static int64_t floor_mod(int64_t x, int64_t y)
{
    if (y == -1)
        return 0;
    int64_t r = x % y;
    return r != 0 && (r ^ y) < 0 ? r + y : r;
}

static double float_mod(double x, double y)
{
    double r = fmod(x, y);
    return (r > 0 ? y < 0 : r < 0 && y > 0) ? r + y : r;
}

/* --- The loops --------------------------------------------------------------------------------------------------- */

#define WRAPPING(OP, NAME)                                                                                             \
    BINARY(MF_KERNEL, NAME##_f64, double, double, x OP y)                                                              \
    BINARY(MF_KERNEL, NAME##_f32, float, float, x OP y)                                                                \
    BINARY(MF_KERNEL, NAME##_i64, uint64_t, uint64_t, x OP y)                                                          \
    BINARY(MF_KERNEL, NAME##_i32, uint32_t, uint32_t, x OP y)                                                          \
    BINARY(MF_KERNEL, NAME##_u8, uint8_t, uint8_t, x OP y)

#define ALL(NAME, R_F64, R_F32, R_I64, R_I32, R_U8, EXPR)                                                              \
    BINARY(MF_KERNEL, NAME##_f64, double, R_F64, EXPR)                                                                 \
    BINARY(MF_KERNEL, NAME##_f32, float, R_F32, EXPR)                                                                  \
    BINARY(MF_KERNEL, NAME##_i64, int64_t, R_I64, EXPR)                                                                \
    BINARY(MF_KERNEL, NAME##_i32, int32_t, R_I32, EXPR)                                                                \
    BINARY(MF_KERNEL, NAME##_u8, uint8_t, R_U8, EXPR)

#define SELECTION(NAME, EXPR)  ALL(NAME, double, float, int64_t, int32_t, uint8_t, EXPR)
#define COMPARISON(NAME, EXPR) ALL(NAME, uint8_t, uint8_t, uint8_t, uint8_t, uint8_t, EXPR)

#define INTEGERS(NAME, EXPR)                                                                                           \
    BINARY(MF_KERNEL, NAME##_i64, int64_t, int64_t, EXPR)                                                              \
    BINARY(MF_KERNEL, NAME##_i32, int32_t, int32_t, EXPR)                                                              \
    BINARY(MF_KERNEL, NAME##_u8, uint8_t, uint8_t, EXPR)

WRAPPING(+, add)
WRAPPING(-, sub)
WRAPPING(*, mul)

BINARY(MF_KERNEL, div_f64, double, double, x / y)
BINARY(MF_KERNEL, div_f32, float, float, x / y)
BINARY(MF_KERNEL, idiv_f64, double, double, floor(x / y))
BINARY(MF_KERNEL, idiv_f32, float, float, floorf(x / y))
DIVISION(idiv_i64, int64_t, floor_div(x, y))
DIVISION(idiv_i32, int32_t, floor_div(x, y))
DIVISION(idiv_u8, uint8_t, x / y)
BINARY(, mod_f64, double, double, float_mod(x, y))
BINARY(, mod_f32, float, float, float_mod((double)x, (double)y))
DIVISION(mod_i64, int64_t, floor_mod(x, y))
DIVISION(mod_i32, int32_t, floor_mod(x, y))
DIVISION(mod_u8, uint8_t, x % y)
BINARY(, power_f64, double, double, pow(x, y))
BINARY(, power_f32, float, float, pow((double)x, (double)y))
BINARY(, atan2_f64, double, double, atan2(x, y))
BINARY(, atan2_f32, float, float, atan2((double)x, (double)y))

/* What is not a number stays. */
SELECTION(minimum, x <= y || x != x ? x : y)
SELECTION(maximum, x >= y || x != x ? x : y)

INTEGERS(band, x &y)
INTEGERS(bor, x | y)
INTEGERS(bxor, x ^ y)

COMPARISON(eq, x == y)
COMPARISON(ne, x != y)
COMPARISON(lt, x < y)
COMPARISON(le, x <= y)
COMPARISON(gt, x > y)
COMPARISON(ge, x >= y)

/* Squares are what powers are mostly used for, and Lua computes them so as well. */
static size_t pow_f64(void *out, ptrdiff_t so, const void *in_a, ptrdiff_t sa, const void *in_b, ptrdiff_t sb, size_t n)
{
    if (sb == 0 && *(const double *)in_b == 2)
        return mul_f64(out, so, in_a, sa, in_a, sa, n);
    return power_f64(out, so, in_a, sa, in_b, sb, n);
}

static size_t pow_f32(void *out, ptrdiff_t so, const void *in_a, ptrdiff_t sa, const void *in_b, ptrdiff_t sb, size_t n)
{
    if (sb == 0 && *(const float *)in_b == 2)
        return mul_f32(out, so, in_a, sa, in_a, sa, n);
    return power_f32(out, so, in_a, sa, in_b, sb, n);
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

mf_kernel *const mf_kernels_binary[MF_BINARIES][MF_DTYPES] = {
    [MF_ADD] = EVERY(add),         [MF_SUB] = EVERY(sub),         [MF_MUL] = EVERY(mul),    [MF_DIV] = FLOATS(div),
    [MF_IDIV] = EVERY(idiv),       [MF_MOD] = EVERY(mod),         [MF_POW] = FLOATS(pow),   [MF_ATAN2] = FLOATS(atan2),
    [MF_MINIMUM] = EVERY(minimum), [MF_MAXIMUM] = EVERY(maximum), [MF_BAND] = WHOLES(band), [MF_BOR] = WHOLES(bor),
    [MF_BXOR] = WHOLES(bxor),      [MF_EQ] = EVERY(eq),           [MF_NE] = EVERY(ne),      [MF_LT] = EVERY(lt),
    [MF_LE] = EVERY(le),           [MF_GT] = EVERY(gt),           [MF_GE] = EVERY(ge),
};
