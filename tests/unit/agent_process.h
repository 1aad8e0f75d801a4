/* A real ssh-agent for the C tests, which ends with the test program however that ends. */
#ifndef MF_TEST_AGENT_PROCESS_H
#define MF_TEST_AGENT_PROCESS_H

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "../../runtime/sys.h"
#include "check.h"

/* The agent lives as long as its child, which reads our pipe. */
static inline FILE *agent_start(const char *socket)
{
    char command[300];
    uint64_t until = mf_sys_after(60);
    snprintf(command, sizeof command, "exec ssh-agent -a %s cat", socket);
    FILE *keeper = popen(command, "we");
    while (access(socket, F_OK) != 0 && mf_sys_now() < until)
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    CHECK(keeper && access(socket, F_OK) == 0);
    return keeper;
}

static inline void agent_stop(FILE *keeper)
{
    if (keeper)
        pclose(keeper);
}

#endif
