/* Areas: memory that two processes of one machine map, to hand over large bodies without a socket's buffer. The sender
 * makes an area (a memfd of fixed size), fills it and passes its descriptor; the receiver maps it and reads in place.
 * The sender keeps a few areas and fills them again when the receiver has let go of the blob, because pages that are
 * there already take a fifth of the time of new ones. The link's business (link.h); one thread at a time for each
 * struct, but the blobs may be let go of by any thread and outlive the struct.
 *
 * An area: a page for control (shared: busy), a page whose end is the blob's head (private to the receiver), the body. */
#ifndef MF_AREA_H
#define MF_AREA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "msg.h"

#define MF_AREA_KEPT     2                   /* areas that a sender keeps */
#define MF_AREA_KEEP_MAX ((size_t)128 << 20) /* bytes of the largest it keeps */
#define MF_AREA_ONCE     MF_AREA_KEPT        /* the number of one that it does not */

/* A mapping. */
struct mf_area {
    unsigned char *base; /* NULL: none */
    size_t bytes;
};

/* The sender's side; all zero bytes is a valid beginning. */
struct mf_area_out {
    struct mf_area kept[MF_AREA_KEPT];
};

/* The receiver's side; all zero bytes is a valid beginning. */
struct mf_area_in {
    struct mf_area kept[MF_AREA_KEPT];
};

/* Puts the n parts, total bytes, into an area: its number, and in *fd the descriptor that the receiver must get along
 * with the number (the caller closes it after that), or -1 if it has the area already. Returns -1 when there is no room
 * for it, or no descriptor, or the system has no such memory: send it otherwise then. */
int mf_area_put(struct mf_area_out *out, const struct mf_msg_part *parts, int n, size_t total, int *fd);

/* The body in area number, of which the other side says that it has size bytes: a blob with one reference that lies in
 * the area. fd: the descriptor that came along, or -1; closed in any case. NULL and a fault when what the other side
 * says is not so; checked before anything is mapped. */
struct mf_blob *mf_area_take(struct mf_area_in *in, uint64_t number, uint64_t size, int fd, struct mf_fault *fault);

/* Lets go of the areas; blobs stay what they are. */
void mf_area_out_release(struct mf_area_out *out);
void mf_area_in_release(struct mf_area_in *in);

#endif
