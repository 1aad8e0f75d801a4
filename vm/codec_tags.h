/* The tags of an encoded value; what follows each is drawn in codec.h. Known to encode*.c and decode.c only. */
#ifndef MF_CODEC_TAGS_H
#define MF_CODEC_TAGS_H

enum mf_tag {
    MF_TAG_NIL,
    MF_TAG_FALSE,
    MF_TAG_TRUE,
    MF_TAG_INT1,
    MF_TAG_INT2,
    MF_TAG_INT4,
    MF_TAG_INT8,
    MF_TAG_FLOAT,
    MF_TAG_STR,
    MF_TAG_STRREF,
    MF_TAG_STRKEEP,
    MF_TAG_TABLE,
    MF_TAG_META,
    MF_TAG_END,
    MF_TAG_REF,
    MF_TAG_FUNC,
    MF_TAG_UPVAL,
    MF_TAG_UPREF,
    MF_TAG_NAMED,
    MF_TAG_USER,
    MF_TAG_ENV,
    MF_TAG_GLOBAL,
    MF_TAG_STD,
    MF_TAG_LIVE,
    MF_TAG_ARRAY,
    MF_TAG_SHARE,
    MF_TAG_COUNT,
    MF_TAG_SMALL = 0x80 /* and up: the integers 0..127 */
};

#define MF_CODEC_MAX_FIELDS 3 /* fields below the module in NAMED */

#endif
