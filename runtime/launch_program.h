/* Runs a program of this machine at the far end of a stream: the user's ssh, as a transport or to be asked something. */
#ifndef MF_LAUNCH_PROGRAM_H
#define MF_LAUNCH_PROGRAM_H

#include "err.h"
#include "stream_remote.h"

/* Starts argv[0] (a path, or a name that is looked up on PATH; NULL at the end) with stdin and stdout on the stream, in a
 * process group of its own, with default signal handling. Its stderr becomes the remote's lines. It does not die with the
 * calling thread; closing the stream ends it: SIGTERM, and SIGKILL when that has not helped within 0.2 s (close waits so
 * long). NULL and a fault that names the program: MF_ESYS, MF_ENOMEM. */
struct mf_stream_remote *mf_launch_program(const char *const argv[], struct mf_fault *fault);

#endif
