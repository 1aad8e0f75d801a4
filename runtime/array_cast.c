/* Design note: each pair of dtypes is a loop of its own. What always fits is done in vectors; what may not fit is looked
 * at number by number. Strides that are not 1 take the general way. */
#include <math.h>
#include <string.h>

#include "array_kernel.h"

/* Always fits. */
#define CAST(FROM, T, TO, R)                                                                                           \
    MF_KERNEL static size_t cast_##FROM##_##TO(void *out, ptrdiff_t so, const void *in_a, ptrdiff_t sa,                \
                                               const void *in_b, ptrdiff_t sb, size_t n)                               \
    {                                                                                                                  \
        R *o = out;                                                                                                    \
        const T *a = in_a;                                                                                             \
        (void)in_b, (void)sb;                                                                                          \
        MF_LOOP1(T, R, x);                                                                                             \
        return n;                                                                                                      \
    }

/* Fits when FITS says so of x. */
#define CHECKED(FROM, T, TO, R, FITS)                                                                                  \
    static size_t cast_##FROM##_##TO(void *out, ptrdiff_t so, const void *in_a, ptrdiff_t sa, const void *in_b,        \
                                     ptrdiff_t sb, size_t n)                                                           \
    {                                                                                                                  \
        R *o = out;                                                                                                    \
        const T *a = in_a;                                                                                             \
        (void)in_b, (void)sb;                                                                                          \
        for (size_t i = 0; i < n; i++) {                                                                               \
            const T x = a[(ptrdiff_t)i * sa];                                                                          \
            if (!(FITS))                                                                                               \
                return i;                                                                                              \
            o[(ptrdiff_t)i * so] = (R)x;                                                                               \
        }                                                                                                              \
        return n;                                                                                                      \
    }

#define WHOLE(LOW, HIGH) ((double)x >= (LOW) && (double)x < (HIGH) && (double)x == floor((double)x))

CAST(f64, double, f64, double)
CAST(f32, float, f32, float)
CAST(i64, int64_t, i64, int64_t)
CAST(i32, int32_t, i32, int32_t)
CAST(u8, uint8_t, u8, uint8_t)

CAST(f64, double, f32, float)
CAST(f32, float, f64, double)
CAST(i64, int64_t, f64, double)
CAST(i64, int64_t, f32, float)
CAST(i32, int32_t, f64, double)
CAST(i32, int32_t, f32, float)
CAST(u8, uint8_t, f64, double)
CAST(u8, uint8_t, f32, float)
CAST(i32, int32_t, i64, int64_t)
CAST(u8, uint8_t, i64, int64_t)
CAST(u8, uint8_t, i32, int32_t)

CHECKED(f64, double, i64, int64_t, WHOLE(-0x1p63, 0x1p63))
CHECKED(f64, double, i32, int32_t, WHOLE(-0x1p31, 0x1p31))
CHECKED(f64, double, u8, uint8_t, WHOLE(0, 256))
CHECKED(f32, float, i64, int64_t, WHOLE(-0x1p63, 0x1p63))
CHECKED(f32, float, i32, int32_t, WHOLE(-0x1p31, 0x1p31))
CHECKED(f32, float, u8, uint8_t, WHOLE(0, 256))
CHECKED(i64, int64_t, i32, int32_t, x >= INT32_MIN && x <= INT32_MAX)
CHECKED(i64, int64_t, u8, uint8_t, x >= 0 && x <= UINT8_MAX)
CHECKED(i32, int32_t, u8, uint8_t, x >= 0 && x <= UINT8_MAX)

#define ROW(FROM)                                                                                                      \
    {                                                                                                                  \
        [MF_F64] = cast_##FROM##_f64, [MF_F32] = cast_##FROM##_f32, [MF_I64] = cast_##FROM##_i64,                      \
        [MF_I32] = cast_##FROM##_i32, [MF_U8] = cast_##FROM##_u8                                                       \
    }

mf_kernel *const mf_kernels_cast[MF_DTYPES][MF_DTYPES] = {
    [MF_F64] = ROW(f64), [MF_F32] = ROW(f32), [MF_I64] = ROW(i64), [MF_I32] = ROW(i32), [MF_U8] = ROW(u8)};
