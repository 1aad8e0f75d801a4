/* libedit, loaded when the first prompt wants an editor: calls of its functions are written as ever. Included by
 * repl_edit.c only, in place of histedit.h. Owner's thread only. */
#ifndef MF_REPL_LIBEDIT_H
#define MF_REPL_LIBEDIT_H

#include <histedit.h>
#include <stdbool.h>

/* All that are called. */
#define MF_LIBEDIT_FUNCTIONS(X)                                                                                        \
    X(el_cursor)                                                                                                       \
    X(el_end)                                                                                                          \
    X(el_get)                                                                                                          \
    X(el_init)                                                                                                         \
    X(el_resize)                                                                                                       \
    X(el_wget)                                                                                                         \
    X(el_wgets)                                                                                                        \
    X(el_winsertstr)                                                                                                   \
    X(el_wline)                                                                                                        \
    X(el_wset)                                                                                                         \
    X(history_w)                                                                                                       \
    X(history_wend)                                                                                                    \
    X(history_winit)

struct mf_libedit {
#define X(name) __typeof__(&name) name;
    MF_LIBEDIT_FUNCTIONS(X)
#undef X
};

extern struct mf_libedit mf_libedit; /* written once, by mf_repl_libedit_load */

/* False where there is no such library, or it lacks a function. */
bool mf_repl_libedit_load(void);

#define el_cursor     mf_libedit.el_cursor
#define el_end        mf_libedit.el_end
#define el_get        mf_libedit.el_get
#define el_init       mf_libedit.el_init
#define el_resize     mf_libedit.el_resize
#define el_wget       mf_libedit.el_wget
#define el_wgets      mf_libedit.el_wgets
#define el_winsertstr mf_libedit.el_winsertstr
#define el_wline      mf_libedit.el_wline
#define el_wset       mf_libedit.el_wset
#define history_w     mf_libedit.history_w
#define history_wend  mf_libedit.history_wend
#define history_winit mf_libedit.history_winit

#endif
