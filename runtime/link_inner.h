/* What link.c and link_beside.c share, and nobody else includes: the link. */
#ifndef MF_LINK_INNER_H
#define MF_LINK_INNER_H

#include "area.h"
#include "link.h"

#define MF_LINK_PIECES 8  /* parts that are written without a copy */
#define MF_LINK_NOTES  16 /* descriptors that wait to be written */

struct mf_link_note {
    size_t at; /* in out */
    int fd;
};

struct mf_link {
    struct mf_stream_end *stream;
    enum mf_err (*received)(void *arg, struct mf_link_frame *frame);
    void *arg;

    unsigned char *in;
    size_t in_len;
    int fds[2]; /* came along, in this order; their frames have not been handed over yet */
    int nfds;
    struct mf_msg_head large_head;
    struct mf_buf large; /* the body of large_head */
    bool in_large;
    bool greeted;          /* a frame has been received */
    size_t limit;          /* of the first frame's body */
    struct mf_fault ended; /* code is not MF_OK: nothing is read any more */

    struct mf_buf out;
    size_t sent; /* bytes of out */
    struct mf_link_note notes[MF_LINK_NOTES];
    int nnotes;
    bool gone;                /* nothing can be written any more */
    struct mf_area_end areas; /* for both directions */
    struct mf_pages *pages;   /* for large and out, or NULL */
    struct mf_link_bytes bytes;
};

/* Appends a frame to out, where there must be room. */
void mf_link_append(struct mf_link *l, const struct mf_msg_head *head, const struct mf_msg_part *parts, int n);

/* Queues a frame whose body is copied into an area. False: it must go in the stream. */
bool mf_link_queue_beside(struct mf_link *l, const struct mf_msg_head *head, const struct mf_msg_part *parts, int n);

#endif
