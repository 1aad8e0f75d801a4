/* Design note: everything here is a small fact about the platform, with no state but what signals force: the
 * per-thread stack of interrupt actions, whether the signal's handler is installed, the handler that was there
 * before, and in a forked child who may send the signal and whether he did. The stack is read by a handler on its
 * own thread only, so ordering against the compiler (atomic_signal_fence) is all it needs. */
#define _GNU_SOURCE
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/random.h>
#endif

#include "fnv.h"

#define NS        1000000000ull
#define SEM_SLICE NS /* where a semaphore sleeps on the wall clock: look at the monotonic one this often */

uint64_t mf_sys_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

uint64_t mf_sys_span(double seconds)
{
    if (!(seconds > 0))
        return 0;
    if (seconds < 1e-9)
        return 1;
    return seconds < 1e9 ? (uint64_t)(seconds * 1e9) : MF_SYS_SPAN_MAX;
}

uint64_t mf_sys_after(double seconds)
{
    return seconds > 1e9 ? MF_SYS_NEVER : mf_sys_now() + mf_sys_span(seconds);
}

/* --- Cores ----------------------------------------------------------------------------------------------------- */

static int affinity_cores(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
#endif
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

static int least(int a, long b)
{
    return b > 0 && b < a ? (int)b : a;
}

#ifdef __linux__
static bool read_two(const char *path, long *a, long *b)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    int n = fscanf(f, "%ld %ld", a, b);
    fclose(f);
    return n >= 1;
}

/* The tightest quota on the way from the process's own group up to the root of one hierarchy. */
static int quota_upwards(int cores, const char *mount, char *group, bool v2)
{
    for (;;) {
        char path[1024];
        long quota = 0, period = 0, unused;
        bool known = false;
        if (v2) {
            if (snprintf(path, sizeof path, "%s%s/cpu.max", mount, group) < (int)sizeof path)
                known = read_two(path, &quota, &period);
        } else if (snprintf(path, sizeof path, "%s%s/cpu.cfs_quota_us", mount, group) < (int)sizeof path &&
                   read_two(path, &quota, &unused) &&
                   snprintf(path, sizeof path, "%s%s/cpu.cfs_period_us", mount, group) < (int)sizeof path) {
            known = read_two(path, &period, &unused);
        }
        if (known && quota > 0 && period > 0)
            cores = least(cores, (quota + period - 1) / period);
        char *slash = strrchr(group, '/');
        if (!slash)
            return cores;
        *slash = '\0';
    }
}

/* A line of /proc/self/cgroup is "id:controllers:group"; the unified hierarchy has no controllers. */
static int cgroup_cores(int cores)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f)
        return cores;
    char line[512];
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        controllers++;
        if (*controllers == '\0')
            cores = quota_upwards(cores, "/sys/fs/cgroup", group, true);
        else if (strcmp(controllers, "cpu") == 0 || strncmp(controllers, "cpu,", 4) == 0)
            cores = quota_upwards(cores, "/sys/fs/cgroup/cpu", group, false);
    }
    fclose(f);
    return cores;
}
#endif

int mf_sys_cores(void)
{
    static const char *const limits[] = {"SLURM_CPUS_PER_TASK", "OMP_NUM_THREADS", "PBS_NP", "NSLOTS",
                                         "LSB_DJOB_NUMPROC"};
    int cores = affinity_cores();
#ifdef __linux__
    cores = cgroup_cores(cores);
#endif
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        const char *text = getenv(limits[i]);
        if (text)
            cores = least(cores, strtol(text, NULL, 10));
    }
    return cores > 0 ? cores : 1;
}

uint64_t mf_sys_entropy(void)
{
    uint64_t n = 0;
#ifdef __linux__
    if (getrandom(&n, sizeof n, GRND_NONBLOCK) == (ssize_t)sizeof n && n)
        return n;
#endif
    n = mf_sys_now() ^ ((uint64_t)getpid() << 32) ^ (uint64_t)(uintptr_t)&n;
    return n ? n : 1;
}

/* --- Surroundings ----------------------------------------------------------------------------------------------- */

extern char **environ;

/* The texts of variables are not read: setenv makes a new one. */
uint64_t mf_sys_surroundings(void)
{
    struct stat folder;
    const char *locale = setlocale(LC_ALL, NULL);
    uint64_t sum = MF_FNV_START;
    size_t variables = 0;
    if (stat(".", &folder) == 0) {
        sum = mf_fnv(sum, &folder.st_dev, sizeof folder.st_dev);
        sum = mf_fnv(sum, &folder.st_ino, sizeof folder.st_ino);
    }
    while (environ && environ[variables])
        variables++;
    sum = mf_fnv(sum, environ, variables * sizeof *environ);
    return locale ? mf_fnv(sum, locale, strlen(locale)) : sum;
}

/* --- Locks and sleeping ---------------------------------------------------------------------------------------- */

enum mf_err mf_sys_mutex_init(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attr;
    if (pthread_mutexattr_init(&attr) != 0)
        return MF_ENOMEM;
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
    int e = pthread_mutex_init(mutex, &attr);
    pthread_mutexattr_destroy(&attr);
    return e == 0 ? MF_OK : MF_ENOMEM;
}

enum mf_err mf_sys_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0)
        return MF_ENOMEM;
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int e = pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
    return e == 0 ? MF_OK : MF_ENOMEM;
}

void mf_sys_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t deadline)
{
    if (deadline == MF_SYS_NEVER) {
        pthread_cond_wait(cond, mutex);
        return;
    }
    struct timespec t = {.tv_sec = (time_t)(deadline / NS), .tv_nsec = (long)(deadline % NS)};
    pthread_cond_timedwait(cond, mutex, &t);
}

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 30) && !defined(__SANITIZE_THREAD__) /* which does not know this call */
bool mf_sys_sem_wait_until(sem_t *sem, uint64_t deadline)
{
    struct timespec t = {.tv_sec = (time_t)(deadline / NS), .tv_nsec = (long)(deadline % NS)};
    return sem_clockwait(sem, CLOCK_MONOTONIC, &t) == 0;
}
#else
bool mf_sys_sem_wait_until(sem_t *sem, uint64_t deadline)
{
    for (;;) {
        uint64_t now = mf_sys_now();
        if (now >= deadline)
            return sem_trywait(sem) == 0;
        uint64_t left = deadline - now < SEM_SLICE ? deadline - now : SEM_SLICE;
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        left += (uint64_t)t.tv_nsec;
        t.tv_sec += (time_t)(left / NS);
        t.tv_nsec = (long)(left % NS);
        if (sem_timedwait(sem, &t) == 0)
            return true;
        if (errno == EINTR)
            return false;
    }
}
#endif

void mf_sys_spin(unsigned turn, unsigned yield_every)
{
    if (turn % yield_every == yield_every - 1) {
        sched_yield();
        return;
    }
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* --- Threads and interruption ---------------------------------------------------------------------------------- */

/* Signal handlers look at it, so in a library that is loaded late it must not be made by the first look. */
#if defined(__GLIBC__)
#define EARLY __attribute__((tls_model("initial-exec")))
#else
#define EARLY
#endif
static _Thread_local struct mf_sys_interrupt *volatile interrupts EARLY; /* innermost first */
static pthread_mutex_t install_lock = PTHREAD_MUTEX_INITIALIZER;
static bool installed;           /* under install_lock */
static struct sigaction earlier; /* written before the handler can run, then only read */
static pid_t asker;              /* the parent of a fork that serves it, or 0; likewise */
static pthread_t asked_thread;   /* whom it means; likewise */
static atomic_bool asked;

void mf_sys_interrupt_push(struct mf_sys_interrupt *entry)
{
    entry->outer = interrupts;
    atomic_signal_fence(memory_order_release);
    interrupts = entry;
}

void mf_sys_interrupt_pop(struct mf_sys_interrupt *entry)
{
    interrupts = entry->outer;
    atomic_signal_fence(memory_order_release);
}

/* Runs the actions from the innermost entry out to last, which is included. */
static void run_actions(const struct mf_sys_interrupt *last)
{
    for (struct mf_sys_interrupt *e = interrupts; e; e = e->outer) {
        e->ran = 1;
        if (e->action)
            e->action(e->arg);
        if (e == last)
            return;
    }
}

void mf_sys_interrupt_self(void)
{
    run_actions(NULL);
}

/* The outermost entry that is wanted, or NULL. */
static const struct mf_sys_interrupt *find_target(void)
{
    const struct mf_sys_interrupt *target = NULL;
    for (const struct mf_sys_interrupt *e = interrupts; e; e = e->outer)
        if (e->wanted && atomic_load_explicit(e->wanted, memory_order_acquire))
            target = e;
    return target;
}

bool mf_sys_interrupt_wanted(void)
{
    for (const struct mf_sys_interrupt *e = interrupts; e; e = e->outer)
        if (e->ran)
            return true;
    return find_target() != NULL;
}

/* The signal was sent to the process, and may have come to any of its threads. */
static void note_asker(const siginfo_t *info)
{
    if (!asker || info->si_code != SI_USER || info->si_pid != asker)
        return;
    atomic_store(&asked, true);
    if (!pthread_equal(pthread_self(), asked_thread))
        pthread_kill(asked_thread, MF_SYS_INTERRUPT);
}

static void on_interrupt(int sig, siginfo_t *info, void *context)
{
    int saved = errno;
    note_asker(info);
    const struct mf_sys_interrupt *target = find_target();
    if (target)
        run_actions(target);
    if (earlier.sa_flags & SA_SIGINFO) {
        if (earlier.sa_sigaction)
            earlier.sa_sigaction(sig, info, context);
    } else if (earlier.sa_handler != SIG_DFL && earlier.sa_handler != SIG_IGN) {
        earlier.sa_handler(sig);
    }
    errno = saved;
}

/* No SA_RESTART: a blocking read in a task must return so that the task notices. */
static bool install(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    action.sa_sigaction = on_interrupt;
    sigemptyset(&action.sa_mask);
    return sigaction(MF_SYS_INTERRUPT, &action, NULL) == 0;
}

enum mf_err mf_sys_interrupt_ready(struct mf_fault *fault)
{
    enum mf_err e = MF_OK;
    pthread_mutex_lock(&install_lock);
    if (!installed) {
        if (sigaction(MF_SYS_INTERRUPT, NULL, &earlier) == 0 && install())
            installed = true;
        else
            e = mf_fault_set(fault, MF_ESYS, "cannot install the interrupt signal: %s", strerror(errno));
    }
    pthread_mutex_unlock(&install_lock);
    return e;
}

void mf_sys_interrupt_adopt(pid_t parent)
{
    interrupts = NULL;
    install_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER; /* whoever held it is not in this process */
    earlier = (struct sigaction){.sa_handler = SIG_DFL};
    asker = parent;
    asked_thread = pthread_self();
    atomic_store(&asked, false);
    installed = install();
}

atomic_bool *mf_sys_interrupt_asked(void)
{
    return &asked;
}

void mf_sys_interrupt_thread(pthread_t thread)
{
    pthread_kill(thread, MF_SYS_INTERRUPT);
}

enum mf_err mf_sys_thread_start(pthread_t *thread, size_t stack, void *(*fn)(void *), void *arg, struct mf_fault *fault)
{
    pthread_attr_t attr;
    sigset_t blocked, old;
    sigfillset(&blocked);
    sigdelset(&blocked, MF_SYS_INTERRUPT);
    sigdelset(&blocked, SIGSEGV); /* faults of the thread itself must still end the program with a core */
    sigdelset(&blocked, SIGBUS);
    sigdelset(&blocked, SIGFPE);
    sigdelset(&blocked, SIGILL);
    if (pthread_attr_init(&attr) != 0)
        return mf_fault_set(fault, MF_ENOMEM, "cannot start a thread: out of memory");
    pthread_attr_setstacksize(&attr, stack);
    pthread_sigmask(SIG_SETMASK, &blocked, &old); /* a thread starts with its creator's mask */
    int e = pthread_create(thread, &attr, fn, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (e != 0)
        return mf_fault_set(fault, MF_ESYS, "cannot start a thread: %s", strerror(e));
    return MF_OK;
}

/* --- Streams --------------------------------------------------------------------------------------------------- */

#ifdef __GLIBC__
static ssize_t sink_write(void *cookie, const char *bytes, size_t n)
{
    struct mf_sys_sink *s = cookie;
    s->write(s->arg, bytes, n);
    return (ssize_t)n;
}

static FILE *sink_open(struct mf_sys_sink *s)
{
    return fopencookie(s, "w", (cookie_io_functions_t){.write = sink_write});
}
#else
static int sink_write(void *cookie, const char *bytes, int n)
{
    struct mf_sys_sink *s = cookie;
    s->write(s->arg, bytes, (size_t)n);
    return n;
}

static FILE *sink_open(struct mf_sys_sink *s)
{
    return funopen(s, NULL, sink_write, NULL, NULL);
}
#endif

FILE *mf_sys_stream(struct mf_sys_sink *sink)
{
    FILE *f = sink_open(sink);
    if (f)
        setvbuf(f, NULL, _IONBF, 0);
    return f;
}

void mf_sys_replace_stdio(FILE *out, FILE *err)
{
#ifdef __GLIBC__
    stdout = out;
    stderr = err;
#else
    (void)out;
    (void)err;
#endif
}

/* --- The terminal ------------------------------------------------------------------------------------------------ */

int mf_sys_columns(int fd)
{
    struct winsize size;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static int open_terminal(void)
{
    return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
}

bool mf_sys_can_ask(void)
{
    int fd = open_terminal();
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* A line without its end. */
static bool read_answer(int fd, char *answer, size_t room)
{
    size_t len = 0;
    for (char c; len + 1 < room && read(fd, &c, 1) == 1; answer[len++] = c)
        if (c == '\n') {
            answer[len] = '\0';
            return true;
        }
    answer[len] = '\0';
    return len > 0;
}

bool mf_sys_ask(const char *question, bool echo, char *answer, size_t room)
{
    struct termios before, quiet;
    int fd = open_terminal();
    if (fd < 0)
        return false;
    bool hidden = !echo && tcgetattr(fd, &before) == 0;
    if (hidden) {
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(fd, TCSAFLUSH, &quiet);
    }
    dprintf(fd, "%s", question);
    bool answered = read_answer(fd, answer, room);
    if (hidden) {
        tcsetattr(fd, TCSAFLUSH, &before);
        dprintf(fd, "\n");
    }
    close(fd);
    return answered;
}
