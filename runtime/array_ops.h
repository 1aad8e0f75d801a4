/* Operations on elements, with broadcasting as in numpy.
 *
 * Types. Two arrays meet in the wider of their dtypes (u8 < i32 < i64 < f32 < f64, but i32 or i64 with f32 make f64). A
 * number takes the array's dtype, except that a float with an array of integers makes f64; an integer must fit into the
 * array's dtype. Integers wrap around as Lua's do, in the width of the result. Division and power are always of floats;
 * comparisons give u8, 0 or 1. Integer division and modulo round down, and by zero they are errors, as in Lua; those of
 * floats are Lua's too. */
#ifndef MF_ARRAY_OPS_H
#define MF_ARRAY_OPS_H

#include "array.h"

enum mf_binary {
    MF_ADD,
    MF_SUB,
    MF_MUL,
    MF_DIV,
    MF_IDIV,
    MF_MOD,
    MF_POW,
    MF_MINIMUM,
    MF_MAXIMUM,
    MF_ATAN2,
    MF_BAND,
    MF_BOR,
    MF_BXOR,
    MF_EQ,
    MF_NE,
    MF_LT,
    MF_LE,
    MF_GT,
    MF_GE,
    MF_BINARIES
};

enum mf_unary {
    MF_NEG,
    MF_ABS,
    MF_SIGN,
    MF_BNOT,
    MF_SQRT,
    MF_FLOOR,
    MF_CEIL,
    MF_TRUNC,
    MF_ROUND, /* halves to even */
    MF_ISNAN,
    MF_ISFINITE,
    MF_EXP,
    MF_EXPM1,
    MF_LOG,
    MF_LOG1P,
    MF_LOG2,
    MF_LOG10,
    MF_SIN,
    MF_COS,
    MF_TAN,
    MF_ASIN,
    MF_ACOS,
    MF_ATAN,
    MF_SINH,
    MF_COSH,
    MF_TANH,
    MF_UNARIES
};

/* What users call them: "add", "sqrt". */
const char *mf_binary_name(enum mf_binary op);
const char *mf_unary_name(enum mf_unary op);

/* An operand: an array, or a number. */
struct mf_value {
    const struct mf_array *array; /* NULL: a number, which is */
    bool integer;                 /* whole, or else */
    int64_t whole;
    double real;
};

/* out: an array that takes the result and must have its shape and dtype (it may be one of the operands), or nothing
 * (out->store is NULL): a new array. Otherwise a fault in words for the user: shapes, the place of an element. */
enum mf_err mf_array_binary(struct mf_heap *heap, enum mf_binary op, const struct mf_value *x, const struct mf_value *y,
                            struct mf_array *out, struct mf_fault *fault);
enum mf_err mf_array_unary(struct mf_heap *heap, enum mf_unary op, const struct mf_array *x, struct mf_array *out,
                           struct mf_fault *fault);

/* A new array: x where condition is not zero, else y; all three are broadcast. */
enum mf_err mf_array_where(struct mf_heap *heap, const struct mf_array *condition, const struct mf_value *x,
                           const struct mf_value *y, struct mf_array *out, struct mf_fault *fault);

/* --- Conversion -------------------------------------------------------------------------------------------------- */

/* Writes x into the elements of to: shapes must agree after broadcasting x, and each number must fit, as in Lua: a float
 * that becomes an integer must be whole and in range. On a fault some elements may be written already. */
enum mf_err mf_array_assign(struct mf_heap *heap, struct mf_array *to, const struct mf_value *x,
                            struct mf_fault *fault);

/* A new contiguous array of that dtype with the elements of a, converted as by assign. */
enum mf_err mf_array_convert(struct mf_heap *heap, const struct mf_array *a, enum mf_dtype dtype, struct mf_array *out,
                             struct mf_fault *fault);

/* The elements in row-major order, little endian, written to bytes; and read from there into a new (contiguous) array, whose
 * numbers are at data. */
void mf_array_pack(const struct mf_array *a, unsigned char *bytes);
void mf_array_unpack(const struct mf_array *a, void *data, const unsigned char *bytes);

/* --- Elements ---------------------------------------------------------------------------------------------------- */

/* How far (in elements) element number i, in row-major order, is from the first. */
ptrdiff_t mf_array_distance(const struct mf_array *a, size_t i);

/* The number at that distance, an integer or a float as the dtype is. */
struct mf_value mf_array_at(const struct mf_array *a, ptrdiff_t distance);

/* Writes a number there; data is what mf_array_own returned. MF_EINVAL and a fault when it does not fit. */
enum mf_err mf_array_put(struct mf_array *a, void *data, ptrdiff_t distance, const struct mf_value *v,
                         struct mf_fault *fault);

/* Element number i in row-major order: as "[3]" or "[2,5]", counted from 1. */
const char *mf_array_place_text(int ndim, const size_t *shape, size_t i, char text[MF_ARRAY_TEXT]);

/* The wider of two dtypes, as above. */
enum mf_dtype mf_dtype_meet(enum mf_dtype a, enum mf_dtype b);

#endif
