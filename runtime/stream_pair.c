/* Design note: two streams over descriptors (stream_fd.c) that act as one. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "stream.h"

struct pair {
    struct mf_stream_end end;
    struct mf_stream_end *in, *out;
    bool out_ended; /* and in has not, as far as is known */
};

static struct pair *own(const struct mf_stream_end *s)
{
    return (struct pair *)(uintptr_t)s;
}

static ssize_t pair_read(struct mf_stream_end *s, void *bytes, size_t n, int *fd)
{
    if (fd)
        *fd = -1;
    return own(s)->in->table->read(own(s)->in, bytes, n, NULL);
}

static ssize_t pair_write(struct mf_stream_end *s, const struct iovec *pieces, int n, int fd)
{
    (void)fd;
    ssize_t done = own(s)->out->table->write(own(s)->out, pieces, n, -1);
    own(s)->out_ended = done < 0;
    return done;
}

static int pair_fd(const struct mf_stream_end *s)
{
    return own(s)->in->table->fd(own(s)->in);
}

static int pair_out_fd(const struct mf_stream_end *s)
{
    return own(s)->out->table->fd(own(s)->out);
}

static const char *pair_error(const struct mf_stream_end *s)
{
    const struct mf_stream_end *ended = own(s)->out_ended ? own(s)->out : own(s)->in;
    return ended->table->last_error(ended);
}

static void pair_close(struct mf_stream_end *s)
{
    own(s)->in->table->close(own(s)->in);
    own(s)->out->table->close(own(s)->out);
    free(s);
}

static const struct mf_stream_table table = {
    .name = "standard streams",
    .read = pair_read,
    .write = pair_write,
    .fd = pair_fd,
    .out_fd = pair_out_fd,
    .last_error = pair_error,
    .close = pair_close,
    .tells_again = true,
};

struct mf_stream_end *mf_stream_pair_new(int in, int out, struct mf_fault *fault)
{
    struct pair *p = calloc(1, sizeof *p);
    if (!p) {
        mf_fault_set(fault, MF_ENOMEM, "out of memory while opening a stream");
        return NULL;
    }
    p->end.table = &table;
    p->out = mf_stream_fd_new(out, fault);
    p->in = p->out ? mf_stream_fd_new(in, fault) : NULL;
    if (p->in)
        return &p->end;
    if (p->out)
        free(p->out); /* the descriptors stay the caller's */
    free(p);
    return NULL;
}
