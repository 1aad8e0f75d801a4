/* The runner's work: one task, from bytes to bytes. Also the layout of a task's arguments and of a result, which
 * lib_future.c and lib_chunk.c write and read from the owner's side:
 *
 *   arguments, a codec message   call:  MF_RUN_CALL, number of dependencies, their positions, then the arguments (nil
 *                                       where a dependency goes). No arguments at all: no message.
 *                                chunk: the mode, the flags, first position, count, and then
 *                                       for a range: start and step; for live elements: the number of the list
 *                                       that holds their lists (live.h), and the place of each there; for the
 *                                       rows of an array: the array of just these; else one value (or two) for
 *                                       each element
 *   result, a codec message      call: the values. chunk: one value for each element; with MF_RUN_COLLECT a boolean
 *                                      before each, false in front of an error and its traceback; fold: one value;
 *                                      each: nothing.
 *                                error: the error value, the traceback or nil, the element's position or nil */
#ifndef MF_RUN_H
#define MF_RUN_H

#include "../runtime/runner.h"

enum mf_run_mode {
    MF_RUN_CALL,
    MF_RUN_MAP,     /* a result for each element */
    MF_RUN_EACH,    /* results are dropped */
    MF_RUN_FILTER,  /* results become booleans */
    MF_RUN_FOLD,    /* fn(accumulator, element) over the chunk; its first element starts it */
    MF_RUN_MAPFOLD, /* fn2(accumulator, fn(element)) */
};

enum mf_run_flag {
    MF_RUN_RANGE = 1,   /* the elements are an arithmetic sequence */
    MF_RUN_STAR = 2,    /* an element is a table of arguments */
    MF_RUN_PAIRS = 4,   /* an element is two arguments */
    MF_RUN_COLLECT = 8, /* an element's error is a result */
    MF_RUN_ARRAY = 32,  /* the elements are the rows of an array, which is the one value that follows */
    MF_RUN_LIVE = 16,   /* the elements are in tables that the worker, a fork, has inherited */
};

/* The runtime's door to the interpreter. */
extern const struct mf_runner mf_run_runner;

#endif
