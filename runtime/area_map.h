/* What area.c and area_borrow.c share, and nobody else includes: mappings, the board, the struct of all areas. */
#ifndef MF_AREA_MAP_H
#define MF_AREA_MAP_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "area.h"

/* An area that its sender keeps. */
struct mf_area {
    struct mf_area_map map; /* base is NULL: there is none */
    int fd;
    uint64_t serial;
    bool held;               /* by a buffer or a blob */
    bool doomed;             /* not to be used again */
    struct mf_area_end *end; /* to which it was lent last, or NULL; whether it still is stands on the board */
};

struct mf_areas {
    atomic_uint refs; /* the owner's, and one of each that is held */
    pid_t pid;
    pthread_mutex_t lock; /* of what follows, and of the ends' kept mappings */
    struct mf_list ends;
    uint64_t last; /* serial */
    size_t total;  /* bytes of all kept */
    struct mf_area kept[MF_AREA_KEPT];
};

/* What an area's place on the board can say. Only the sender writes LENT; only the receiver changes it then. */
enum mf_area_state {
    MF_AREA_FREE,
    MF_AREA_IS_LENT,
    MF_AREA_DROPPED, /* free, and the receiver has no mapping of it any more */
};

struct mf_area_board {
    atomic_uint refs;
    atomic_uint *state; /* MF_AREA_KEPT of them, in the shared page */
};

/* A page of one's own and behind it bytes of fd, shared, to read or to write as well. False when that cannot be had. */
bool mf_area_map(struct mf_area_map *map, int fd, size_t bytes, bool writes);
void mf_area_unmap(struct mf_area_map *map); /* harmless when there is none */

/* Maps the board behind fd; NULL when that cannot be had. */
struct mf_area_board *mf_area_board_map(int fd);
struct mf_area_board *mf_area_board_ref(struct mf_area_board *board); /* NULL allowed, here and below */
void mf_area_board_unref(struct mf_area_board *board);

/* As a receiver: lets go of what is kept and not lent. False when something is left. Under the areas' lock. */
bool mf_area_drop_unused(struct mf_area_end *end);
void mf_area_drop_all(struct mf_area_end *end);

/* Is this the process that made them? */
bool mf_areas_mine(const struct mf_areas *areas);

#endif
