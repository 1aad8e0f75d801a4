/* A worker process's way in: the agent of the runtime, with the interpreter of this library. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../runtime/launch_spawn.h"
#include "../runtime/node.h"
#include "embed.h"

#define ABOVE 10 /* descriptors that the link is moved to lie above this one */

/* Moves the standard streams out of reach of what tasks print and read: stdin is empty then, and stdout is stderr. */
static bool take_stdio(int *in, int *out)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    *in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, ABOVE);
    *out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, ABOVE);
    bool ok = null >= 0 && *in >= 0 && *out >= 0 && dup2(null, STDIN_FILENO) == STDIN_FILENO &&
              dup2(STDERR_FILENO, STDOUT_FILENO) == STDOUT_FILENO;
    if (null > STDERR_FILENO)
        close(null);
    return ok;
}

static int serve(struct mf_embed *embed, const char *name, bool stdio)
{
    const struct mf_node_options options = {.runner = &embed->runner, .name = name};
    int in = MF_LAUNCH_FD, out = MF_LAUNCH_FD;
    if (stdio && !take_stdio(&in, &out)) {
        fprintf(stderr, "moonfleet agent: cannot use its standard streams\n");
        return EXIT_FAILURE;
    }
    if (getpgrp() != getpid())
        setpgid(0, 0);   /* so that it can end what its tasks have started */
    mf_embed_ref(embed); /* for the node's own owner */
    return mf_node_serve(in, out, &options);
}

bool mf_serve(const struct mf_config *config, int argc, char *const argv[], int *exit_status)
{
    static const struct mf_config defaults;
    bool stdio = argc == 4 && strcmp(argv[3], "--stdio") == 0;
    if ((argc != 3 && !stdio) || strcmp(argv[1], "--agent") != 0)
        return false;
    struct mf_embed *embed = mf_embed_new(config ? config : &defaults);
    *exit_status = EXIT_FAILURE;
    if (!embed) {
        fprintf(stderr, "moonfleet agent: out of memory\n");
        return true;
    }
    embed->serves = true; /* it does */
    *exit_status = serve(embed, argv[2], stdio);
    mf_embed_unref(embed);
    return true;
}
