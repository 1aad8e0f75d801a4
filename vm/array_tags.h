/* What follows the tag ARRAY, known to encode_array.c and decode_array.c only:
 *
 *   flags       one byte: the dtype (enum mf_dtype), and the bits below
 *   dimensions  one byte, 1..8, then the extent of each, varints
 *   numbers     in row-major order, little endian
 *   or, HELD:   the place of the block in the list of what the message holds, the byte in it at which the first element
 *               is, and for each axis the distance of its elements, in elements: varints, the latter with the sign in
 *               the lowest bit */
#ifndef MF_ARRAY_TAGS_H
#define MF_ARRAY_TAGS_H

enum mf_array_flag {
    MF_ARRAY_DTYPE = 7,
    MF_ARRAY_HELD = 16,
    MF_ARRAY_READ_ONLY = 32, /* a share */
};

#endif
