/* Output, both ends. In a worker's state, what a task prints goes to the port of the task that runs; in the owner's
 * state, what came back is printed when the value is collected. */
#ifndef MF_RELAY_H
#define MF_RELAY_H

#include <lua.h>
#include <pthread.h>
#include <stdio.h>

#include "../runtime/runner.h"
#include "../runtime/sys.h"

/* Where a worker's output goes now. Any thread may write through it (a nested pool's live output does). */
struct mf_relay {
    pthread_mutex_t lock;
    struct mf_port *port;              /* under lock; NULL between tasks: output is dropped then */
    FILE *out, *err;                   /* the C streams behind the worker's io.stdout and io.stderr */
    bool outermost;                    /* the owner's, which is no worker: live output has names in front */
    struct mf_relay *successor;        /* in a fork of a worker: writes in its place, and NULL elsewhere */
    struct mf_sys_sink to_out, to_err; /* behind those */
};

void mf_relay_init(struct mf_relay *relay);
void mf_relay_release(struct mf_relay *relay);                      /* after lua_close of the state that it captured */
void mf_relay_attach(struct mf_relay *relay, struct mf_port *port); /* NULL detaches */
void mf_relay_write(struct mf_relay *relay, enum mf_stream stream, const void *bytes, size_t n);

/* Points print, io.write, io.stdout, io.stderr and warn of the worker's state L at relay, which must outlive L.
 * May raise. */
void mf_relay_capture(lua_State *L, struct mf_relay *relay);

/* The same in two steps, of which the first may be done long before: pushes what is needed, MF_RELAY_PARTS values, */
enum { MF_RELAY_PRINT, MF_RELAY_WARNER, MF_RELAY_OUT, MF_RELAY_ERR, MF_RELAY_PARTS };
void mf_relay_make(lua_State *L, struct mf_relay *relay);
/* and puts it into place; it stands from the stack index parts on. Both may raise. */
void mf_relay_install(lua_State *L, int parts);

/* In a fork of the owner's process, before the second step: points the file handles that are io.stdout and io.stderr,
 * which the owner's code may have kept, and the C library's standard streams at relay. */
void mf_relay_redirect(lua_State *L, struct mf_relay *relay);

/* Prints the records of a future's output (future.h) in the owner's state: to its own relay when it is a worker, to
 * the process's standard streams otherwise. */
void mf_relay_print(struct mf_relay *relay, const void *records, size_t n);

/* Prints live output of a worker, each line behind its name. */
void mf_relay_live(struct mf_relay *relay, const char *worker, enum mf_stream stream, const void *bytes, size_t n);

/* Pushes two strings: what the records hold of standard output and of standard error. */
void mf_relay_push(lua_State *L, const void *records, size_t n);

#endif
