/* Descriptors and processes: what sys_fd.h promises of each. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../runtime/sys.h"
#include "../../runtime/sys_fd.h"

static bool closes_on_exec(int fd)
{
    return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

static bool blocks(int fd)
{
    return !(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static void close_both(int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

static void test_making(void)
{
    int ends[2];
    char byte;
    CHECK(mf_sys_pipe(ends) && closes_on_exec(ends[0]) && closes_on_exec(ends[1]) && blocks(ends[0]));
    CHECK(write(ends[1], "p", 1) == 1 && read(ends[0], &byte, 1) == 1 && byte == 'p');
    CHECK(mf_sys_fd_prepare(ends[0]) && !blocks(ends[0]) && blocks(ends[1]));
    close_both(ends);
    CHECK(!mf_sys_fd_prepare(ends[0]) && errno == EBADF);
    CHECK(mf_sys_socketpair(ends) && closes_on_exec(ends[0]) && closes_on_exec(ends[1]) && blocks(ends[0]));
    CHECK(write(ends[1], "s", 1) == 1 && read(ends[0], &byte, 1) == 1 && byte == 's');
    CHECK(write(ends[0], "t", 1) == 1 && read(ends[1], &byte, 1) == 1 && byte == 't');
    close_both(ends);
}

static void test_event_and_poll(void)
{
    int event[2];
    CHECK(mf_sys_event_new(event) && closes_on_exec(event[0]) && !blocks(event[0]) && !blocks(event[1]));
    struct pollfd p = {.fd = event[0], .events = POLLIN};
    CHECK(mf_sys_poll(&p, 1, 0) == 0);
    uint64_t deadline = mf_sys_now() + 3000000;
    CHECK(mf_sys_poll(&p, 1, deadline) == 0 && mf_sys_now() >= deadline);
    errno = 7;
    for (int i = 0; i < 100000; i++) /* more than a pipe would hold */
        mf_sys_event_post(event);
    CHECK(errno == 7);
    CHECK(mf_sys_poll(&p, 1, MF_SYS_NEVER) == 1 && p.revents == POLLIN);
    mf_sys_event_drain(event);
    CHECK(mf_sys_poll(&p, 1, 1) == 0);
    mf_sys_event_drain(event); /* nothing there: does not wait */
    mf_sys_event_close(event);
    CHECK(fcntl(event[0], F_GETFD) < 0 && fcntl(event[1], F_GETFD) < 0);
}

static void test_memory(void)
{
    int fd = mf_sys_memfd("test");
    if (fd < 0) {
        CHECK(errno == ENOSYS);
        return;
    }
    CHECK(closes_on_exec(fd) && !mf_sys_memfd_sealed(fd, MF_SYS_SEAL_SIZE) && write(fd, "abc", 3) == 3);
    CHECK(mf_sys_memfd_seal(fd, MF_SYS_SEAL_SIZE) && mf_sys_memfd_sealed(fd, MF_SYS_SEAL_SIZE));
    CHECK(ftruncate(fd, 0) != 0 && ftruncate(fd, 4) != 0 && pwrite(fd, "x", 1, 0) == 1);
    CHECK(!mf_sys_memfd_sealed(fd, MF_SYS_SEAL_CONTENT) && !mf_sys_memfd_seal(fd, MF_SYS_SEAL_CONTENT));
    close(fd);
    CHECK(!mf_sys_memfd_sealed(fd, MF_SYS_SEAL_SIZE));
}

/* Content that is sealed: written by the mapping that was there, and by nothing else. */
static void test_sealed_content(void)
{
    int fd = mf_sys_memfd("test");
    if (fd < 0)
        return;
    CHECK(write(fd, "abc", 3) == 3);
    char *ours = mmap(NULL, 3, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(ours != MAP_FAILED && mf_sys_memfd_seal(fd, MF_SYS_SEAL_CONTENT));
    CHECK(mf_sys_memfd_sealed(fd, MF_SYS_SEAL_SIZE) && mf_sys_memfd_sealed(fd, MF_SYS_SEAL_CONTENT));
    CHECK(mmap(NULL, 3, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && pwrite(fd, "x", 1, 0) != 1);
    const char *theirs = mmap(NULL, 3, PROT_READ, MAP_SHARED, fd, 0);
    ours[1] = 'B';
    CHECK(theirs != MAP_FAILED && memcmp(theirs, "aBc", 3) == 0);
    munmap((void *)(uintptr_t)theirs, 3);
    munmap(ours, 3);
    close(fd);
}

/* A word that has changed is not waited for; one that has not, until somebody wakes it. */
static void *change_word(void *arg)
{
    atomic_store((atomic_uint *)arg, 2);
    mf_sys_word_wake(arg);
    return NULL;
}

static void test_word(void)
{
    atomic_uint word = 1;
    pthread_t thread;
    uint64_t start = mf_sys_now(), deadline = start + 20000000000u;
    mf_sys_word_wait(&word, 7, deadline);
    mf_sys_word_wait(&word, 1, start); /* the deadline has passed */
    CHECK(pthread_create(&thread, NULL, change_word, &word) == 0);
    while (atomic_load(&word) == 1)
        mf_sys_word_wait(&word, 1, deadline);
    CHECK(mf_sys_now() < deadline);
    pthread_join(thread, NULL);
}

static void test_pidfd(void)
{
    int ends[2], status;
    CHECK(mf_sys_pipe(ends));
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 5 : 6);
    }
    int fd = mf_sys_pidfd(pid);
    if (fd >= 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        CHECK(closes_on_exec(fd) && mf_sys_poll(&p, 1, 0) == 0);
        close(ends[1]);
        CHECK(mf_sys_poll(&p, 1, mf_sys_now() + 30000000000u) == 1);
        close(fd);
    } else {
        CHECK(errno == ENOSYS || errno == EPERM);
        close(ends[1]);
    }
    close(ends[0]);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 5);
}

/* In a child, which tells by its exit code. */
static void test_close_on_exec_from(void)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        int low = dup(0), high = fcntl(0, F_DUPFD, 50);
        mf_sys_close_on_exec_from(50);
        _exit(!closes_on_exec(low) && closes_on_exec(high) ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static int told = -1; /* for the handler: where to write that it ran */

static void tell(int signal)
{
    (void)signal;
    if (write(told, "s", 1) != 1)
        _exit(1);
}

/* Parent, child and grandchild: the grandchild is killed when the child ends, or gets another signal if it wants one. */
static void test_die_with(bool signal_instead)
{
    int alive[2], go[2];
    char byte;
    CHECK(mf_sys_pipe(alive) && mf_sys_pipe(go));
    pid_t pid = fork();
    if (pid == 0) {
        pid_t self = getpid();
        if (fork() == 0) {
            alarm(60);
            byte = mf_sys_die_with(self) ? 'y' : 'n';
            if (signal_instead) {
                told = alive[1];
                signal(SIGHUP, tell);
                mf_sys_signal_with_parent(SIGHUP);
            }
            if (write(alive[1], &byte, 1) == 1)
                pause();
            _exit(0);
        }
        close(alive[1]);
        _exit(read(go[0], &byte, 1) == 1 ? 0 : 1);
    }
    close(alive[1]);
    CHECK(read(alive[0], &byte, 1) == 1 && byte == 'y');
    CHECK(write(go[1], "g", 1) == 1);
#ifdef __linux__
    CHECK(!signal_instead || (read(alive[0], &byte, 1) == 1 && byte == 's'));
    CHECK(read(alive[0], &byte, 1) == 0); /* the last writer is gone */
#endif
    CHECK(waitpid(pid, NULL, 0) == pid);
    close(alive[0]);
    close_both(go);
}

static void test_program(void)
{
    char path[4096], tiny[4];
    if (!mf_sys_program(path, sizeof path))
        return;
    CHECK(path[0] == '/' && access(path, X_OK) == 0);
    CHECK(!mf_sys_program(tiny, sizeof tiny));
    char library[4096]; /* this code is part of the program */
    CHECK(mf_sys_library(library, sizeof library) && strcmp(library, path) == 0);
    CHECK(!mf_sys_library(tiny, sizeof tiny));
}

int main(void)
{
    test_making();
    test_event_and_poll();
    test_memory();
    test_sealed_content();
    test_word();
    test_pidfd();
    test_close_on_exec_from();
    test_die_with(false);
    test_die_with(true);
    test_program();
    mf_sys_yield();
    return check_report();
}
