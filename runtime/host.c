/* Design note: a host that cannot be reached is called again after a time that doubles with each failure. */
#include "host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch_program.h"
#include "launch_spawn.h"
#include "sys.h"
#include "sys_fd.h"

#define FIRST_RETRY_NS UINT64_C(1000000000)
#define LAST_RETRY_NS  UINT64_C(60000000000)
#define PATH_BYTES     4096

struct mf_hosts *mf_hosts_new(int n, mf_launch_ask *ask, void *ask_arg)
{
    struct mf_hosts *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->hosts = calloc((size_t)n, sizeof *h->hosts);
    if (!h->hosts || !mf_sys_event_new(h->wake)) {
        free(h->hosts);
        free(h);
        return NULL;
    }
    h->n = n;
    h->ask = ask;
    h->ask_arg = ask_arg;
    return h;
}

static void release(struct mf_host *host)
{
    mf_launch_ssh_free(host->launch);
    mf_buf_release(&host->settings);
    mf_buf_release(&host->texts);
    free((void *)(uintptr_t)host->ssh.identities);
}

void mf_hosts_free(struct mf_hosts *h)
{
    if (!h)
        return;
    for (int i = 0; i < h->n; i++)
        release(&h->hosts[i]);
    mf_launch_group_free(h->group);
    mf_sys_event_close(h->wake);
    free(h->hosts);
    free(h);
}

void mf_hosts_cancel(struct mf_hosts *h)
{
    for (int i = 0; i < h->n; i++)
        if (h->hosts[i].launch)
            mf_launch_ssh_cancel(h->hosts[i].launch);
}

void mf_host_departed(struct mf_host *host, const char *text)
{
    uint64_t wait = FIRST_RETRY_NS << (host->failures < 6 ? host->failures : 6);
    host->state = MF_HOST_AWAY;
    host->failures++;
    host->retry = mf_sys_now() + (wait < LAST_RETRY_NS ? wait : LAST_RETRY_NS);
    snprintf(host->text, sizeof host->text, "%s", text);
}

static void done(void *arg)
{
    const struct mf_hosts *h = arg;
    int wake[2] = {h->wake[0], h->wake[1]};
    mf_sys_event_post(wake);
}

static struct mf_stream_remote *start_local(const struct mf_host *host, struct mf_fault *fault)
{
    char path[PATH_BYTES];
    const char *program = host->program;
    if (!program && !mf_launch_self(path, sizeof path)) {
        mf_fault_set(fault, MF_ESYS, "cannot find the program to start workers with: set option 'program'");
        return NULL;
    }
    const char *const argv[] = {program ? program : path, "--agent", host->name, "--stdio", NULL};
    return mf_launch_program(argv, fault);
}

static void start_ssh(struct mf_hosts *h, struct mf_host *host, struct mf_fault *fault)
{
    if (!h->group)
        h->group = mf_launch_group_new(h->ask, h->ask_arg);
    if (!h->group)
        mf_fault_set(fault, MF_ENOMEM, "out of memory");
    else
        host->launch = mf_launch_ssh_start(h->group, &host->ssh, done, h, fault);
}

void mf_host_call(struct mf_hosts *h, struct mf_host *host, struct mf_stream_remote **remote)
{
    struct mf_fault fault = {0};
    *remote = NULL;
    host->state = MF_HOST_CALLED;
    host->called = mf_sys_now();
    host->text[0] = '\0';
    if (host->local)
        *remote = start_local(host, &fault);
    else
        start_ssh(h, host, &fault);
    if (!*remote && !host->launch)
        mf_host_departed(host, fault.text);
}

bool mf_host_take(struct mf_host *host, struct mf_stream_remote **remote)
{
    struct mf_launch_ssh_result result;
    *remote = NULL;
    if (host->state != MF_HOST_CALLED || !host->launch || !mf_launch_ssh_take(host->launch, &result))
        return false;
    mf_launch_ssh_free(host->launch);
    host->launch = NULL;
    host->seconds = result.seconds;
    *remote = result.remote;
    if (result.remote)
        snprintf(host->text, sizeof host->text, "%s", result.note);
    else
        mf_host_departed(host, result.text);
    return true;
}
