/* Memory in pages, straight from the operating system, for blocks of megabytes: they grow without a copy and lie in
 * huge pages where the system has them. What is Linux-only stands in sys_mem.c beside a portable branch. Any thread;
 * nothing blocks. bytes are rounded up to pages, and must be the same in all calls for one block. */
#ifndef MF_SYS_MEM_H
#define MF_SYS_MEM_H

#include <stddef.h>

size_t mf_sys_page(void); /* bytes of a page */

/* Private memory, zeroed; NULL when memory is out. */
void *mf_sys_map(size_t bytes);

/* The same block with another size, perhaps elsewhere; NULL when memory is out, and nothing has changed then. */
void *mf_sys_remap(void *block, size_t from, size_t to);

void mf_sys_unmap(void *block, size_t bytes);

/* What is in the block is not needed any more: where memory is short, the system may take its pages, and gives zeroed
 * ones when they are touched again. */
void mf_sys_spare(void *block, size_t bytes);

/* memcpy, for bytes that this thread will not touch again soon: much of them goes past the caches. */
void mf_sys_copy(void *to, const void *from, size_t bytes);

#endif
