/*
 * The floor: what this machine takes, today, for the primitives that Moonfleet is made of, in plain C and pthreads.
 * The benchmark prints its own figures beside these, as only the ratio says something about the program.
 *
 *     floor [MEASURE...]        all measures, or those named; prints a line "name value unit" for each
 *
 * Every measure is a function that does one round and returns one figure, and stands in one table with its name, its
 * unit and its number of rounds; what is printed is the median of the rounds, which one interruption does not move.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COND_TRIPS    2000
#define SPIN_TRIPS    20000
#define SOCKET_TRIPS  2000
#define FORKS         20
#define THREAD_STARTS 100
#define COPY_BYTES    ((size_t)64 << 20)
#define TASKS         20000
#define TASK_THREADS  2
#define INTEGERS      1000000
#define DOUBLES       ((size_t)100000000)
#define WORK_STEPS    50000000
#define MAX_ROUNDS    15
#define EXIT_AT_ONCE  "--exit"

/* Compiled code must not drop the work whose time is taken: results end here. */
static _Thread_local volatile uint64_t sink;
static const char *program;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* For the pthread functions, which return their error. */
static void check(int error, const char *what)
{
    if (error != 0) {
        fprintf(stderr, "floor: %s: %s\n", what, strerror(error));
        exit(1);
    }
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static pthread_t start(void *(*run)(void *), void *arg)
{
    pthread_t thread;

    check(pthread_create(&thread, NULL, run, arg), "pthread_create");
    return thread;
}

static void join(pthread_t thread)
{
    check(pthread_join(thread, NULL), "pthread_join");
}

/* ---- two threads that take turns, asleep in between ---- */

struct turns {
    pthread_mutex_t lock;
    pthread_cond_t changed[2];
    int turn; /* whose turn it is: 0 the caller, 1 the other */
};

static void take_turns(struct turns *t, int me)
{
    for (int i = 0; i < COND_TRIPS; i++) {
        pthread_mutex_lock(&t->lock);
        while (t->turn != me) {
            pthread_cond_wait(&t->changed[me], &t->lock);
        }
        t->turn = 1 - me;
        pthread_mutex_unlock(&t->lock);
        pthread_cond_signal(&t->changed[1 - me]);
    }
}

static void *other_turns(void *arg)
{
    take_turns(arg, 1);
    return NULL;
}

static double cond_round_trip(void)
{
    struct turns t = {PTHREAD_MUTEX_INITIALIZER, {PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER}, 0};
    pthread_t thread = start(other_turns, &t);
    double since = now();

    take_turns(&t, 0);
    join(thread);
    return 1e6 * (now() - since) / COND_TRIPS;
}

/* ---- the same through one atomic, never asleep ---- */

static void await_turn(atomic_int *turn, int me)
{
    for (int spins = 1; atomic_load_explicit(turn, memory_order_acquire) != me; spins++) {
        if (spins % 4096 == 0) {
            sched_yield(); /* with one core only, the other thread needs it */
        }
    }
}

static void spin_turns(atomic_int *turn, int me)
{
    for (int i = 0; i < SPIN_TRIPS; i++) {
        await_turn(turn, me);
        atomic_store_explicit(turn, 1 - me, memory_order_release);
    }
}

static void *other_spins(void *arg)
{
    spin_turns(arg, 1);
    return NULL;
}

static double spin_round_trip(void)
{
    atomic_int turn = 0;
    pthread_t thread = start(other_spins, &turn);
    double since = now();

    spin_turns(&turn, 0);
    join(thread);
    return 1e6 * (now() - since) / SPIN_TRIPS;
}

/* ---- processes ---- */

static void reap(pid_t child)
{
    int status;

    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "floor: a child process failed\n");
        exit(1);
    }
}

static void echo(int fd)
{
    char byte;

    while (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1) {
    }
    _exit(0);
}

static double socketpair_round_trip(void)
{
    int fd[2];
    char byte = 'x';
    double since, taken;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0) {
        die("socketpair");
    }
    pid_t child = fork();
    if (child < 0) {
        die("fork");
    } else if (child == 0) {
        close(fd[0]);
        echo(fd[1]);
    }
    close(fd[1]);
    since = now();
    for (int i = 0; i < SOCKET_TRIPS; i++) {
        if (write(fd[0], &byte, 1) != 1 || read(fd[0], &byte, 1) != 1) {
            die("socketpair");
        }
    }
    taken = now() - since;
    close(fd[0]);
    reap(child);
    return 1e6 * taken / SOCKET_TRIPS;
}

static double time_forks(bool exec)
{
    double since = now();

    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        if (child < 0) {
            die("fork");
        } else if (child == 0) {
            if (exec) {
                execl(program, program, EXIT_AT_ONCE, (char *)NULL);
            }
            _exit(exec ? 127 : 0);
        }
        reap(child);
    }
    return 1e6 * (now() - since) / FORKS;
}

static double fork_wait(void)
{
    return time_forks(false);
}

static double fork_exec_wait(void)
{
    return time_forks(true);
}

/* ---- threads ---- */

static void *nothing(void *arg)
{
    return arg;
}

static double thread_start(void)
{
    double since = now();

    for (int i = 0; i < THREAD_STARTS; i++) {
        join(start(nothing, NULL));
    }
    return 1e6 * (now() - since) / THREAD_STARTS;
}

/* ---- a queue of trivial tasks, made by the caller, run by two threads, collected by the caller ---- */

struct task {
    struct task *next;
    uint64_t value;
};

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled, finished;
    struct task *first, **last;
    int unfinished;
    bool closed;
};

static void push(struct queue *q, uint64_t value)
{
    struct task *task = malloc(sizeof *task);

    if (task == NULL) {
        die("malloc");
    }
    *task = (struct task){NULL, value};
    pthread_mutex_lock(&q->lock);
    *q->last = task;
    q->last = &task->next;
    q->unfinished++;
    pthread_cond_signal(&q->filled);
    pthread_mutex_unlock(&q->lock);
}

/* The first task, or NULL when the queue is closed and empty. Called and left with the lock held. */
static struct task *pop(struct queue *q)
{
    struct task *task;

    while (q->first == NULL && !q->closed) {
        pthread_cond_wait(&q->filled, &q->lock);
    }
    task = q->first;
    if (task != NULL) {
        q->first = task->next;
        if (q->first == NULL) {
            q->last = &q->first;
        }
    }
    return task;
}

static void *run_tasks(void *arg)
{
    struct queue *q = arg;
    struct task *task;

    pthread_mutex_lock(&q->lock);
    while ((task = pop(q)) != NULL) {
        pthread_mutex_unlock(&q->lock);
        sink = task->value + 1;
        free(task);
        pthread_mutex_lock(&q->lock);
        if (--q->unfinished == 0) {
            pthread_cond_signal(&q->finished);
        }
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

static double queue_task(void)
{
    struct queue q = {
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, &q.first, 0, false};
    pthread_t threads[TASK_THREADS];
    double since, taken;

    for (int i = 0; i < TASK_THREADS; i++) {
        threads[i] = start(run_tasks, &q);
    }
    since = now();
    for (int i = 0; i < TASKS; i++) {
        push(&q, (uint64_t)i);
    }
    pthread_mutex_lock(&q.lock);
    while (q.unfinished > 0) {
        pthread_cond_wait(&q.finished, &q.lock);
    }
    taken = now() - since;
    q.closed = true;
    pthread_cond_broadcast(&q.filled);
    pthread_mutex_unlock(&q.lock);
    for (int i = 0; i < TASK_THREADS; i++) {
        join(threads[i]);
    }
    return 1e9 * taken / TASKS;
}

/* ---- memory and arithmetic ---- */

static void *filled(size_t bytes)
{
    char *block = malloc(bytes);

    if (block == NULL) {
        die("malloc");
    }
    memset(block, 1, bytes); /* so that the pages are there before the clock starts */
    return block;
}

static double memcpy_rate(void)
{
    char *from = filled(COPY_BYTES), *to = filled(COPY_BYTES);
    double since = now(), taken;

    memcpy(to, from, COPY_BYTES);
    taken = now() - since;
    sink = (uint64_t)to[COPY_BYTES / 2];
    free(from);
    free(to);
    return 1e-9 * (double)COPY_BYTES / taken;
}

/* How fast numbers come from memory, to one core that adds them up in chains that do not wait for each other. */
static double read_rate(void)
{
    enum { CHAINS = 8 };
    double *values = filled(DOUBLES * sizeof *values), sum[CHAINS] = {0};
    double since = now(), taken;

    for (size_t i = 0; i < DOUBLES; i += CHAINS) {
        for (size_t k = 0; k < CHAINS; k++) {
            sum[k] += values[i + k];
        }
    }
    for (int k = 0; k < CHAINS; k++) {
        sink = (uint64_t)sum[k];
    }
    taken = now() - since;
    free(values);
    return 8e-9 * (double)DOUBLES / taken;
}

static double sum_integer(void)
{
    int64_t *values = filled(INTEGERS * sizeof *values), sum = 0;
    double since = now(), taken;

    for (int i = 0; i < INTEGERS; i++) {
        sum += values[i];
    }
    sink = (uint64_t)sum;
    taken = now() - since;
    free(values);
    return 1e9 * taken / INTEGERS;
}

/* ---- how much two threads of pure arithmetic gain: the machine's own limit, just now ---- */

static void *work(void *arg)
{
    uint64_t x = 1;

    for (int i = 0; i < WORK_STEPS; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
    }
    sink = x;
    return arg;
}

static double two_thread_speedup(void)
{
    double since = now(), alone;
    pthread_t thread;

    work(NULL);
    work(NULL);
    alone = now() - since;
    since = now();
    thread = start(work, NULL);
    work(NULL);
    join(thread);
    return alone / (now() - since);
}

/* ---- the table of measures ---- */

struct measure {
    const char *name, *unit;
    double (*round)(void);
    int rounds; /* at most MAX_ROUNDS */
};

static const struct measure measures[] = {
    {"cond_round_trip", "us", cond_round_trip, 9},
    {"spin_round_trip", "us", spin_round_trip, 9},
    {"socketpair_round_trip", "us", socketpair_round_trip, 9},
    {"thread_start", "us", thread_start, 9},
    {"fork_wait", "us", fork_wait, 9},
    {"fork_exec_wait", "us", fork_exec_wait, 9},
    {"queue_task", "ns", queue_task, 9},
    {"memcpy_rate", "GB/s", memcpy_rate, 9},
    {"read_rate", "GB/s", read_rate, 3},
    {"sum_integer", "ns", sum_integer, 15},
    {"two_thread_speedup", "x", two_thread_speedup, 5},
};

#define MEASURES ((int)(sizeof measures / sizeof measures[0]))

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void print_measure(const struct measure *m)
{
    double values[MAX_ROUNDS];

    for (int i = 0; i < m->rounds; i++) {
        values[i] = m->round();
    }
    qsort(values, (size_t)m->rounds, sizeof values[0], by_value);
    printf("%s %.4g %s\n", m->name, values[m->rounds / 2], m->unit);
    fflush(stdout);
}

static bool print_named(const char *name)
{
    for (int i = 0; i < MEASURES; i++) {
        if (strcmp(measures[i].name, name) == 0) {
            print_measure(&measures[i]);
            return true;
        }
    }
    fprintf(stderr, "floor: no measure '%s'; there are:", name);
    for (int i = 0; i < MEASURES; i++) {
        fprintf(stderr, " %s", measures[i].name);
    }
    fprintf(stderr, "\n");
    return false;
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc == 2 && strcmp(argv[1], EXIT_AT_ONCE) == 0) {
        return 0;
    }
    if (argc == 1) {
        for (int i = 0; i < MEASURES; i++) {
            print_measure(&measures[i]);
        }
    }
    for (int i = 1; i < argc; i++) {
        if (!print_named(argv[i])) {
            return 2;
        }
    }
    return 0;
}
