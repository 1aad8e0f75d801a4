/* Hosts as their master keeps them: starting a local agent, failing, when they are called again. */
#include "check.h"

#include <string.h>
#include <unistd.h>

#include "../../runtime/host.h"
#include "../../runtime/sys.h"

static struct mf_hosts *make(int n)
{
    struct mf_hosts *h = mf_hosts_new(n, NULL, NULL);
    CHECK(h && h->n == n && h->wake[0] >= 0 && !h->group);
    for (int i = 0; h && i < n; i++) {
        struct mf_host *host = &h->hosts[i];
        CHECK(host->state == MF_HOST_AWAY && host->lanes == 0 && host->failures == 0);
        CHECK(mf_buf_append(&host->texts, "some host", 10) && mf_buf_append(&host->settings, "/dir", 5));
        host->name = (char *)host->texts.data;
        host->local = true;
    }
    return h;
}

/* The program gets its name and its way of speaking. */
static void test_local(void)
{
    static char echo[] = "/bin/echo";
    static const char expected[] = "--agent some host --stdio\n";
    struct mf_hosts *h = make(2);
    struct mf_host *host = &h->hosts[1];
    struct mf_stream_remote *remote = NULL;
    struct mf_wait wait = {.deadline = mf_sys_after(30), .cancel = -1};
    char text[100] = "";
    enum mf_err e;
    uint64_t before = mf_sys_now();
    host->program = echo;
    snprintf(host->text, sizeof host->text, "old");
    mf_host_call(h, host, &remote);
    CHECK(remote && host->state == MF_HOST_CALLED && !host->launch && host->text[0] == '\0' && host->called >= before);
    struct mf_stream_remote *none;
    CHECK(!mf_host_take(host, &none) && !none); /* it was there at once */
    size_t got = 0;
    for (ssize_t n; (n = mf_remote_read(remote, text + got, sizeof text - 1 - got, &wait, &e)) > 0;)
        got += (size_t)n;
    CHECK(got == sizeof expected - 1 && strcmp(text, expected) == 0);
    remote->end.table->close(&remote->end);
    CHECK(h->hosts[0].state == MF_HOST_AWAY);
    mf_hosts_cancel(h); /* nothing is being started */
    mf_hosts_free(h);
}

static void test_cannot_start(void)
{
    static char nowhere[] = "/no/such/program";
    struct mf_hosts *h = make(1);
    struct mf_host *host = &h->hosts[0];
    struct mf_stream_remote *remote;
    host->program = nowhere;
    for (unsigned i = 1; i <= 3; i++) {
        mf_host_call(h, host, &remote);
        CHECK(!remote && host->state == MF_HOST_AWAY && host->failures == i);
        CHECK(strcmp(host->text, "cannot start /no/such/program: No such file or directory") == 0);
    }
    mf_hosts_free(h);
}

/* The time doubles from a second to a minute, and begins anew when the host has been there. */
static void test_retries(void)
{
    static const double seconds[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
    struct mf_hosts *h = make(1);
    struct mf_host *host = &h->hosts[0];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
            uint64_t before = mf_sys_now();
            host->state = MF_HOST_HERE;
            mf_host_departed(host, "gone");
            double wait = (double)(host->retry - before) / 1e9;
            CHECK(host->state == MF_HOST_AWAY && wait >= seconds[i] && wait < seconds[i] + 10);
            CHECK(strcmp(host->text, "gone") == 0);
        }
        host->failures = 0;
    }
    for (int i = 0; i < 1000; i++)
        mf_host_departed(host, "gone");
    CHECK(host->retry - mf_sys_now() <= UINT64_C(60000000000));
    mf_hosts_free(h);
}

/* Words that are too long are cut. */
static void test_long_words(void)
{
    static char words[2 * MF_LAUNCH_SSH_TEXT];
    struct mf_hosts *h = make(1);
    memset(words, 'x', sizeof words - 1);
    mf_host_departed(&h->hosts[0], words);
    CHECK(strlen(h->hosts[0].text) == MF_LAUNCH_SSH_TEXT - 1);
    mf_hosts_free(h);
    mf_hosts_free(NULL);
}

int main(void)
{
    alarm(60);
    test_local();
    test_cannot_start();
    test_retries();
    test_long_words();
    return check_report();
}
