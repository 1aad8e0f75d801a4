/* Small truths about the platform: time, cores, waiting, threads, interrupts, streams. */
#include "check.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../runtime/sys.h"

/* --- Time and cores --------------------------------------------------------------------------------------------- */

static bool is_now(double seconds)
{
    uint64_t before = mf_sys_now(), moment = mf_sys_after(seconds);
    return moment >= before && moment <= mf_sys_now();
}

static void test_time(void)
{
    uint64_t a = mf_sys_now(), later = mf_sys_after(1.5), b = mf_sys_now();
    CHECK(a > 0 && b >= a);
    CHECK(later >= a + 1500000000u && later <= b + 1500000000u);
    CHECK(is_now(0) && is_now(-0.0) && is_now(-1) && is_now(-1e300) && is_now(-INFINITY) && is_now(NAN));
    CHECK(mf_sys_after(INFINITY) == MF_SYS_NEVER && mf_sys_after(1e300) == MF_SYS_NEVER);
    CHECK(mf_sys_after(1e10) == MF_SYS_NEVER && mf_sys_after(1e8) > b + 99999999u * UINT64_C(1000000000));
}

static void test_spans(void)
{
    CHECK(mf_sys_span(0) == 0 && mf_sys_span(-1) == 0 && mf_sys_span(-INFINITY) == 0 && mf_sys_span(NAN) == 0);
    CHECK(mf_sys_span(1.5) == 1500000000u && mf_sys_span(1e-9) == 1 && mf_sys_span(1e-300) == 1);
    CHECK(mf_sys_span(INFINITY) == MF_SYS_SPAN_MAX && mf_sys_span(1e300) == MF_SYS_SPAN_MAX);
    CHECK(mf_sys_now() + 2 * MF_SYS_SPAN_MAX > MF_SYS_SPAN_MAX); /* no overflow */
}

static const char *const limits[] = {"SLURM_CPUS_PER_TASK", "OMP_NUM_THREADS", "PBS_NP", "NSLOTS", "LSB_DJOB_NUMPROC"};

static void test_cores(void)
{
    static const char *const ignored[] = {"", "0", "-3", "many", "100000", "99999999999999999999"};
    for (int i = 0; i < 5; i++)
        unsetenv(limits[i]);
    int cores = mf_sys_cores();
    CHECK(cores >= 1);
    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < 6; k++) {
            setenv(limits[i], ignored[k], 1);
            CHECK(mf_sys_cores() == cores);
        }
        setenv(limits[i], "1", 1);
        CHECK(mf_sys_cores() == 1);
        setenv(limits[(i + 1) % 5], "7", 1); /* the smaller one counts */
        CHECK(mf_sys_cores() == 1);
        unsetenv(limits[(i + 1) % 5]);
        unsetenv(limits[i]);
    }
    setenv("OMP_NUM_THREADS", "1,4", 1); /* a list, one number a level of nesting */
    CHECK(mf_sys_cores() == 1);
    unsetenv("OMP_NUM_THREADS");
}

static void test_small_things(void)
{
    int ends[2];
    uint64_t a = mf_sys_entropy(), b = mf_sys_entropy();
    CHECK(a && b && a != b);
    CHECK(mf_sys_columns(-1) == 80);
    CHECK(pipe(ends) == 0 && mf_sys_columns(ends[0]) == 80);
    close(ends[0]);
    close(ends[1]);
    for (unsigned turn = 0; turn < 200; turn++)
        mf_sys_spin(turn, 16);
}

/* --- Waiting ---------------------------------------------------------------------------------------------------- */

static void test_semaphore(void)
{
    sem_t sem;
    sem_init(&sem, 0, 2);
    CHECK(mf_sys_sem_wait_until(&sem, MF_SYS_NEVER));
    CHECK(mf_sys_sem_wait_until(&sem, 0)); /* what is there is had, late or not */
    CHECK(!mf_sys_sem_wait_until(&sem, 0));
    uint64_t deadline = mf_sys_after(0.01);
    CHECK(!mf_sys_sem_wait_until(&sem, deadline) && mf_sys_now() >= deadline);
    sem_destroy(&sem);
}

static atomic_bool stop;

static void on_signal(int sig)
{
    (void)sig;
}

/* Sends signals until told to stop, since the first may come before the wait. */
static void *annoy(void *thread)
{
    while (!atomic_load(&stop)) {
        pthread_kill(*(pthread_t *)thread, SIGUSR1);
        sched_yield();
    }
    return NULL;
}

static void test_semaphore_and_signal(void)
{
    struct sigaction action = {.sa_handler = on_signal}, old;
    pthread_t self = pthread_self(), thread;
    sem_t sem;
    sem_init(&sem, 0, 0);
    sigaction(SIGUSR1, &action, &old);
    CHECK(pthread_create(&thread, NULL, annoy, &self) == 0);
    CHECK(!mf_sys_sem_wait_until(&sem, MF_SYS_NEVER));
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    sigaction(SIGUSR1, &old, NULL);
    sem_destroy(&sem);
}

struct meeting {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int stage;
};

static void *reply(void *arg)
{
    struct meeting *m = arg;
    pthread_mutex_lock(&m->lock);
    m->stage = 1;
    pthread_cond_signal(&m->changed);
    while (m->stage < 2)
        mf_sys_cond_wait_until(&m->changed, &m->lock, MF_SYS_NEVER);
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

static void test_condition(void)
{
    struct meeting m = {.stage = 0};
    pthread_t thread;
    CHECK(mf_sys_mutex_init(&m.lock) == MF_OK && mf_sys_cond_init(&m.changed) == MF_OK);
    pthread_mutex_lock(&m.lock);
    mf_sys_cond_wait_until(&m.changed, &m.lock, 0); /* returns: it has passed */
    uint64_t deadline = mf_sys_after(0.01);
    while (mf_sys_now() < deadline)
        mf_sys_cond_wait_until(&m.changed, &m.lock, deadline);
    CHECK(mf_sys_thread_start(&thread, 1 << 20, reply, &m, NULL) == MF_OK);
    while (m.stage < 1)
        mf_sys_cond_wait_until(&m.changed, &m.lock, mf_sys_after(30));
    m.stage = 2;
    pthread_cond_signal(&m.changed);
    pthread_mutex_unlock(&m.lock);
    pthread_join(thread, NULL);
    pthread_cond_destroy(&m.changed);
    pthread_mutex_destroy(&m.lock);
}

/* --- Threads ---------------------------------------------------------------------------------------------------- */

static void *look_around(void *result)
{
    volatile char deep[1500000];
    sigset_t blocked;
    for (size_t i = 0; i < sizeof deep; i += 1000)
        deep[i] = (char)i; /* the stack is as large as was asked for */
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    *(bool *)result = sigismember(&blocked, SIGINT) && sigismember(&blocked, SIGTERM) &&
                      sigismember(&blocked, SIGCHLD) && sigismember(&blocked, SIGUSR1) &&
                      !sigismember(&blocked, SIGURG) && !sigismember(&blocked, SIGSEGV) &&
                      !sigismember(&blocked, SIGFPE);
    return result;
}

static void test_threads(void)
{
    struct mf_fault fault = {0};
    pthread_t thread;
    bool good = false;
    void *result = NULL;
    sigset_t before, after;
    sigemptyset(&before);
    sigaddset(&before, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    CHECK(mf_sys_thread_start(&thread, (size_t)2 << 20, look_around, &good, &fault) == MF_OK);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    CHECK(sigismember(&after, SIGUSR2) && !sigismember(&after, SIGINT) && !sigismember(&after, SIGURG));
    CHECK(pthread_join(thread, &result) == 0 && result == &good && good);
    CHECK(mf_sys_thread_start(&thread, (size_t)1 << 60, look_around, &good, &fault) == MF_ESYS);
    CHECK(fault.code == MF_ESYS && strstr(fault.text, "cannot start a thread: "));
    sigemptyset(&before);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* --- Interruption ----------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t trail; /* digits, one an action that ran */

static void leave_digit(void *arg)
{
    trail = trail * 10 + *(int *)arg;
    errno = 12345;
}

static int digit[] = {0, 1, 2, 3, 4};

/* The digits left by a signal to this thread. */
static int after_signal(void)
{
    trail = 0;
    errno = 7;
    mf_sys_interrupt_thread(pthread_self());
    CHECK(errno == 7);
    return trail;
}

static volatile sig_atomic_t passed_on;

static void plain_handler(int sig)
{
    passed_on += sig == SIGURG;
}

static void info_handler(int sig, siginfo_t *info, void *context)
{
    passed_on += sig == SIGURG && info && context;
}

/* In a child, since the handler is installed once a process. */
static int passes_on(struct sigaction action)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        struct mf_fault fault;
        sigaction(SIGURG, &action, NULL);
        if (mf_sys_interrupt_ready(&fault) != MF_OK || mf_sys_interrupt_ready(NULL) != MF_OK)
            _exit(9);
        mf_sys_interrupt_thread(pthread_self());
        _exit(passed_on);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_earlier_handlers(void)
{
    struct sigaction info = {.sa_flags = SA_SIGINFO};
    info.sa_sigaction = info_handler;
    CHECK(passes_on((struct sigaction){.sa_handler = plain_handler}) == 1);
    CHECK(passes_on(info) == 1);
    CHECK(passes_on((struct sigaction){.sa_handler = SIG_IGN}) == 0);
    CHECK(passes_on((struct sigaction){.sa_handler = SIG_DFL}) == 0);
}

static void test_interrupt_self(void)
{
    struct mf_sys_interrupt a = {.action = leave_digit, .arg = &digit[1]}, none = {0},
                            b = {.action = leave_digit, .arg = &digit[2]};
    trail = 0;
    mf_sys_interrupt_self();
    CHECK(trail == 0);
    mf_sys_interrupt_push(&a);
    mf_sys_interrupt_push(&none);
    mf_sys_interrupt_push(&b);
    mf_sys_interrupt_self();
    CHECK(trail == 21);
    mf_sys_interrupt_pop(&none); /* and what came after it */
    trail = 0;
    mf_sys_interrupt_self();
    CHECK(trail == 1);
    mf_sys_interrupt_pop(&a);
    trail = 0;
    mf_sys_interrupt_self();
    CHECK(trail == 0);
}

static void test_targets(void)
{
    atomic_bool outer = false, inner = false;
    struct mf_sys_interrupt entry[] = {
        {.action = leave_digit, .arg = &digit[1]},
        {.action = leave_digit, .arg = &digit[2], .wanted = &outer},
        {.action = leave_digit, .arg = &digit[3]},
        {.action = leave_digit, .arg = &digit[4], .wanted = &inner},
    };
    CHECK(after_signal() == 0);
    for (int i = 0; i < 4; i++)
        mf_sys_interrupt_push(&entry[i]);
    CHECK(after_signal() == 0); /* late: nobody is wanted */
    atomic_store(&inner, true);
    CHECK(after_signal() == 4);
    atomic_store(&outer, true);
    CHECK(after_signal() == 432);
    atomic_store(&inner, false);
    CHECK(after_signal() == 432);
    mf_sys_interrupt_pop(&entry[2]);
    CHECK(after_signal() == 2);
    mf_sys_interrupt_pop(&entry[1]);
    CHECK(after_signal() == 0);
    mf_sys_interrupt_pop(&entry[0]);
}

static void test_wanted(void)
{
    atomic_bool outer = false, inner = false;
    struct mf_sys_interrupt a = {.wanted = &outer}, b = {0}, c = {.wanted = &inner};
    CHECK(!mf_sys_interrupt_wanted());
    mf_sys_interrupt_push(&a);
    mf_sys_interrupt_push(&b);
    mf_sys_interrupt_push(&c);
    CHECK(!mf_sys_interrupt_wanted());
    atomic_store(&outer, true);
    CHECK(mf_sys_interrupt_wanted());
    atomic_store(&outer, false);
    atomic_store(&inner, true);
    CHECK(mf_sys_interrupt_wanted());
    mf_sys_interrupt_pop(&a);
    CHECK(!mf_sys_interrupt_wanted());
    struct mf_sys_interrupt outside = {0}, within = {0}, later = {0};
    mf_sys_interrupt_push(&outside);
    mf_sys_interrupt_self();
    mf_sys_interrupt_push(&within); /* came too late for it */
    CHECK(mf_sys_interrupt_wanted());
    mf_sys_interrupt_pop(&outside);
    mf_sys_interrupt_push(&later);
    CHECK(!mf_sys_interrupt_wanted());
    mf_sys_interrupt_pop(&later);
}

static void post(void *sem)
{
    sem_post(sem);
}

struct patient {
    sem_t ready, wake;
    atomic_bool wanted;
};

static void *wait_for_interrupt(void *arg)
{
    struct patient *p = arg;
    struct mf_sys_interrupt entry = {.action = post, .arg = &p->wake, .wanted = &p->wanted};
    mf_sys_interrupt_push(&entry);
    sem_post(&p->ready);
    while (!mf_sys_sem_wait_until(&p->wake, MF_SYS_NEVER)) { /* the signal itself may end the wait first */
    }
    mf_sys_interrupt_pop(&entry);
    return NULL;
}

static void test_other_thread(void)
{
    struct patient p;
    pthread_t thread;
    sem_init(&p.ready, 0, 0);
    sem_init(&p.wake, 0, 0);
    atomic_init(&p.wanted, false);
    CHECK(mf_sys_thread_start(&thread, 1 << 20, wait_for_interrupt, &p, NULL) == MF_OK);
    mf_sys_sem_wait_until(&p.ready, MF_SYS_NEVER);
    mf_sys_interrupt_thread(thread); /* not wanted: does nothing */
    atomic_store(&p.wanted, true);
    mf_sys_interrupt_thread(thread);
    CHECK(pthread_join(thread, NULL) == 0);
    sem_destroy(&p.ready);
    sem_destroy(&p.wake);
}

/* --- Streams ---------------------------------------------------------------------------------------------------- */

struct sink {
    char bytes[200];
    size_t len;
};

static void sink(void *arg, const char *bytes, size_t n)
{
    struct sink *s = arg;
    if (CHECK(s->len + n <= sizeof s->bytes))
        memcpy(s->bytes + s->len, bytes, n);
    s->len += n;
}

static void test_stream(void)
{
    struct sink s = {.len = 0};
    struct mf_sys_sink to = {.write = sink, .arg = &s};
    FILE *f = mf_sys_stream(&to);
    if (!CHECK(f != NULL))
        return;
    CHECK(fprintf(f, "%d and %s", 42, "text") == 11);
    CHECK(s.len == 11 && memcmp(s.bytes, "42 and text", 11) == 0); /* at once */
    CHECK(fwrite("a\0b", 1, 3, f) == 3 && fputc('\n', f) == '\n');
    CHECK(s.len == 15 && memcmp(s.bytes + 11, "a\0b\n", 4) == 0);
    CHECK(fread(s.bytes, 1, 1, f) == 0);
    CHECK(fclose(f) == 0 && s.len == 15);
}

static void test_surroundings(void)
{
    uint64_t first = mf_sys_surroundings();
    CHECK(mf_sys_surroundings() == first);
    CHECK(setenv("MF_SYS_TEST", "1", 1) == 0);
    uint64_t second = mf_sys_surroundings();
    CHECK(setenv("MF_SYS_TEST", "2", 1) == 0);
    uint64_t third = mf_sys_surroundings();
    CHECK(chdir("/") == 0);
    uint64_t fourth = mf_sys_surroundings();
    CHECK(setlocale(LC_ALL, "C.UTF-8") != NULL);
    uint64_t fifth = mf_sys_surroundings();
    CHECK(first != second && second != third && third != fourth && fourth != fifth && mf_sys_surroundings() == fifth);
}

int main(void)
{
    alarm(60);
    test_earlier_handlers(); /* first: in children of a process without our handler */
    CHECK(mf_sys_interrupt_ready(NULL) == MF_OK);
    test_time();
    test_spans();
    test_cores();
    test_small_things();
    test_semaphore();
    test_semaphore_and_signal();
    test_condition();
    test_threads();
    test_interrupt_self();
    test_targets();
    test_wanted();
    test_other_thread();
    test_stream();
    test_surroundings(); /* last, since it changes them */
    return check_report();
}
