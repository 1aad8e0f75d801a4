/* Areas: memory that two processes of one machine map, to hand over large bodies without a socket's buffer. The sender
 * writes a body into an area (a memfd), lends it and passes its descriptor; the receiver maps it and reads in place.
 * Pages that are there already take a fifth of the time of new ones, so both keep a few areas, and the sender fills
 * them again when the receiver has let go of what was in them: a buffer (buf.h) may be written straight into a free
 * one.
 *
 * The receiver can never write to an area, and no page of one can be taken away. The sender could change a body while
 * it is read: whoever reads one must look at each byte once, or be safe whatever it finds there.
 *
 * All areas of one owner belong together: struct mf_areas. Each link has two ends, one on either side: struct
 * mf_area_end, for one thread at a time. The other functions are for any thread, and blobs may outlive all of it. A
 * forked child gets no areas. */
#ifndef MF_AREA_H
#define MF_AREA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "list.h"

#define MF_AREA_LEAST    ((size_t)256 * 1024) /* for less it is not worth it */
#define MF_AREA_MAX      ((uint64_t)1 << 40)  /* bytes of a body */
#define MF_AREA_KEPT     16                   /* areas that a sender keeps */
#define MF_AREA_KEEP_MAX ((size_t)256 << 20)  /* bytes of all that it keeps */
#define MF_AREA_ONCE     MF_AREA_KEPT         /* the number of one that it does not */
#define MF_AREA_BOARD    (MF_AREA_KEPT + 1)   /* the number that is no area but the board, see below */
#define MF_AREA_PREFIX   64                   /* bytes that can be put in front of a body, a multiple of 16 */

struct mf_areas; /* allocated by new; the struct stands in area_map.h */
struct mf_area_board;

struct mf_areas *mf_areas_new(void);         /* with one reference; NULL when memory is out */
void mf_areas_unref(struct mf_areas *areas); /* NULL is allowed; no end is open any more */

/* Gives back what is kept and nobody uses. False when something is left, since it is in use. */
bool mf_areas_cool(struct mf_areas *areas);

/* --- A sender's buffers ----------------------------------------------------------------------------------------- */

/* A free area with room for need bytes, the largest there is: where its body begins, and in *cap the room there. NULL
 * if there is none. */
unsigned char *mf_area_storage(struct mf_areas *areas, size_t need, size_t *cap);

/* Lets go of it; or makes it a blob that holds its first len bytes, flagged MF_BLOB_LENT. */
void mf_area_return(unsigned char *storage);
struct mf_blob *mf_area_blob(unsigned char *storage, size_t len);

/* --- A link's two ends ------------------------------------------------------------------------------------------ */

/* Bytes that belong to somebody else. */
struct mf_area_part {
    const unsigned char *bytes;
    size_t n;
};

/* A mapping: a page of this side's own, on whose end a blob's head lies, and behind it the body. */
struct mf_area_map {
    unsigned char *base; /* NULL: none */
    size_t bytes;
};

/* The board is a page that the sender makes and both sides map. There it says for each kept area whether it is lent
 * now. */
struct mf_area_end {
    struct mf_list link; /* among the areas' ends */
    struct mf_areas *areas;
    struct mf_area_board *lends;   /* as a sender; NULL until mf_area_show_board */
    uint64_t serial[MF_AREA_KEPT]; /* of the areas that the other side has */
    struct mf_area_board *borrows; /* as a receiver; NULL until mf_area_take_board */
    struct mf_area_map kept[MF_AREA_KEPT];
};

void mf_area_open(struct mf_area_end *end, struct mf_areas *areas);

/* The link has ended; blobs stay what they are. What was lent over it is not used again. All zero bytes: harmless. */
void mf_area_close(struct mf_area_end *end);

/* The board must be shown before anything is lent: true when it was. Else in *fd is its descriptor, which the other
 * side must get with the number MF_AREA_BOARD and mf_area_board_bytes as size (the caller closes it after that), or -1
 * when it cannot be made: send in the stream then. */
bool mf_area_show_board(struct mf_area_end *end, int *fd);
uint64_t mf_area_board_bytes(void);

/* Lends the area in which the blob lies, or one into which the n parts, total bytes, are copied: its number, and in *fd
 * the descriptor that the receiver must get along with the number (the caller closes it after that), or -1 if it has
 * the area already. Returns -1 when the blob lies in no area of these or is lent already; when there is no memory of
 * that kind or no descriptor: send it otherwise then. The board must have been shown. */
int mf_area_lend(struct mf_area_end *end, const struct mf_blob *blob, int *fd);
int mf_area_put(struct mf_area_end *end, const struct mf_area_part *parts, int n, size_t total, int *fd);

/* For what the receiver will hold for long: the descriptor of an area of its own, to be passed with MF_AREA_ONCE, with
 * the parts in it; the caller closes it. -1 when there is no memory of that kind or no descriptor. */
int mf_area_give(const struct mf_area_part *parts, int n, size_t total);

/* As a receiver: the board. fd is closed in any case. MF_OK, or an error and a fault. */
enum mf_err mf_area_take_board(struct mf_area_end *end, uint64_t size, int fd, struct mf_fault *fault);

/* The body in area number, of which the other side says that it has size bytes, behind the prefix of at most
 * MF_AREA_PREFIX bytes, a multiple of 16: a blob with one reference, which lies in the area (or is a copy when that
 * cannot be mapped). fd: the descriptor that came along, or -1; closed in any case. NULL and a fault when what the
 * other side says is not so; checked before anything is mapped. */
struct mf_blob *mf_area_take(struct mf_area_end *end, uint64_t number, uint64_t size, const struct mf_area_part *prefix,
                             int fd, struct mf_fault *fault);

#endif
