/* An intrusive doubly linked list: the node sits inside the element. Header only; no allocation; the lock that
 * guards the elements guards the list. A list is a ring through its own head. */
#ifndef MF_LIST_H
#define MF_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct mf_list {
    struct mf_list *next, *prev;
};

/* The struct that contains a node: MF_LIST_ENTRY(node, struct mf_future, link). */
#define MF_LIST_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void mf_list_init(struct mf_list *l)
{
    l->next = l->prev = l;
}

static inline bool mf_list_empty(const struct mf_list *l)
{
    return l->next == l;
}

/* Puts node in front of at; with at = the list's head, at the end of the list. */
static inline void mf_list_insert(struct mf_list *at, struct mf_list *node)
{
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}

/* Takes node out and leaves it as an empty list, so that taking it out twice does no harm. */
static inline void mf_list_remove(struct mf_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    mf_list_init(node);
}

#endif
