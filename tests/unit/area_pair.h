/* The two sides of a link, for the tests of areas, and bodies of one letter that go from one to the other. */
#ifndef AREA_PAIR_H
#define AREA_PAIR_H

#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "../../runtime/area.h"

#define SIZE ((size_t)300000)

static unsigned char body[2 * SIZE];
static const struct mf_area_part nothing;

/* Two sides of a link. */
struct pair {
    struct mf_areas *areas[2];
    struct mf_area_end out, in;
};

static inline bool show_board(struct mf_area_end *out, struct mf_area_end *in)
{
    int fd;
    return CHECK(!mf_area_show_board(out, &fd) && fd >= 0) &&
           CHECK(mf_area_take_board(in, mf_area_board_bytes(), fd, NULL) == MF_OK) &&
           CHECK(mf_area_show_board(out, &fd) && fd < 0);
}

static inline bool open_pair(struct pair *p)
{
    *p = (struct pair){.areas = {mf_areas_new(), mf_areas_new()}};
    if (!CHECK(p->areas[0] && p->areas[1]))
        exit(check_report());
    mf_area_open(&p->out, p->areas[0]);
    mf_area_open(&p->in, p->areas[1]);
    return show_board(&p->out, &p->in);
}

static inline void close_pair(struct pair *p)
{
    mf_area_close(&p->out);
    mf_area_close(&p->in);
    mf_area_close(&p->in);
    mf_areas_unref(p->areas[0]);
    mf_areas_unref(p->areas[1]);
}

/* Puts and takes n bytes that begin with the letter: the blob, and in *number the area. */
static inline struct mf_blob *pass(struct pair *p, char letter, size_t n, int *number)
{
    int fd = -1;
    memset(body, letter, n);
    struct mf_area_part parts[3] = {{body, 5}, {NULL, 0}, {body + 5, n - 5}};
    *number = mf_area_put(&p->out, parts, 3, n, &fd);
    if (!CHECK(*number >= 0))
        return NULL;
    return mf_area_take(&p->in, (uint64_t)*number, n, &nothing, fd, NULL);
}

static inline bool holds(const struct mf_blob *blob, char letter, size_t n)
{
    bool good = blob && blob->len == n;
    for (size_t i = 0; good && i < n; i++)
        good = blob->data[i] == (unsigned char)letter;
    return good;
}

#endif
