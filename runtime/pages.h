/* Large blocks of private memory, in pages of their own. A new page costs several times what copying into it does, so
 * blocks that are let go of are kept, a few as a rule and many while large messages travel, and the next ones that are
 * asked for are these: their pages are there already. What is kept may be taken by the system when memory is short. Any
 * thread. In a forked child nothing is kept.
 *
 * A block's size is told again by whoever lets go of it, as Lua does. */
#ifndef MF_PAGES_H
#define MF_PAGES_H

#include <stddef.h>
#include <stdint.h>

#define MF_PAGES_LEAST ((size_t)1 << 20)   /* for less, malloc is as good */
#define MF_PAGES_KEPT  32                  /* blocks */
#define MF_PAGES_COLD  ((size_t)64 << 20)  /* bytes of all that are kept, as a rule */
#define MF_PAGES_WARM  ((size_t)512 << 20) /* and while large messages travel */

struct mf_pages; /* allocated by new; the struct stands in pages.c */

struct mf_pages *mf_pages_new(void);                   /* with one reference; NULL when memory is out */
struct mf_pages *mf_pages_ref(struct mf_pages *pages); /* NULL is allowed and returned */
void mf_pages_unref(struct mf_pages *pages);           /* NULL is allowed; the last one gives all back */

/* A block of at least bytes, with any content; NULL when memory is out. */
void *mf_pages_get(struct mf_pages *pages, size_t bytes);

/* The block, of from bytes until now, with room for to; perhaps elsewhere. NULL when memory is out, and nothing has
 * changed then. */
void *mf_pages_resize(struct mf_pages *pages, void *block, size_t from, size_t to);

/* Lets go of a block of that many bytes. */
void mf_pages_put(struct mf_pages *pages, void *block, size_t bytes);

/* Until that moment (of mf_sys_now) many blocks are kept; a call never shortens the time. */
void mf_pages_warm(struct mf_pages *pages, uint64_t until);

/* Gives back all that is kept, if that moment has come. */
void mf_pages_cool(struct mf_pages *pages, uint64_t now);

#endif
