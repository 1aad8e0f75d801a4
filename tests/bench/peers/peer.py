"""The workloads of the comparison under Python.

    peer.py WAY WORKLOAD [FOLDER]     prints one figure, in the unit that compare.lua names
    peer.py WAY --version             what is installed, or exit code 1

WAY is pool (multiprocessing), executor and threads (concurrent.futures), joblib, dask or distributed. FOLDER holds the
texts whose words are counted. A workload that a way has no means for is refused with exit code 3.
"""
import array
import collections
import glob
import gzip
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time

WORKERS = 2
REFUSED = 3
TASKS, ELEMENTS, RECORDS, QUEUED = 20000, 1000000, 100000, 100000
TEXT = 64 << 20
LARGE = 50000000  # numbers of 8 bytes
OBJECTS = 12500000  # of 24 bytes, and 8 in their list
PI_TASKS, PI_DRAWS = 16, 1000000
NORMALS = 10000000

now = time.perf_counter
shared = None  # what forked workers inherit
folders = []  # to be removed at the end


# ---- what workers run ----

def trivial(x):
    return x


def add_one(x):
    return x + 1


def worker_pid(_):
    return os.getpid()


def sleep(seconds):
    time.sleep(seconds)


def pi(seed):
    draw, inside = random.Random(seed).random, 0
    for _ in range(PI_DRAWS):
        x, y = draw(), draw()
        if x * x + y * y <= 1:
            inside += 1
    return inside


def private_bytes(pid="self"):
    with open("/proc/%s/smaps_rollup" % pid) as lines:
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def read_half(half):
    n, total = len(shared) // 2, 0
    for i in range(half * n, (half + 1) * n, 64):
        total += shared[i]
    return private_bytes(), total


def read_nothing(_):
    return private_bytes(), 0


def count_words(path):
    opened = gzip.open if path.endswith(".gz") else open
    counts = collections.Counter()
    with opened(path, "rb") as lines:
        while True:
            block = lines.readlines(1 << 20)
            if not block:
                return counts
            counts.update(b"".join(block).split())


def normals(seed):
    import numpy
    x = numpy.random.default_rng(seed).standard_normal(NORMALS)
    return float(x.mean()), float(x.std(ddof=1))


# ---- the ways ----

class Pool:
    def __init__(self, n=WORKERS):
        import multiprocessing
        self.pool = multiprocessing.Pool(n)

    def call(self, fn, x):
        return self.pool.apply(fn, (x,))

    def submit(self, fn, x):
        return self.pool.apply_async(fn, (x,))

    def result(self, future):
        return future.get()

    def map(self, fn, xs):
        return self.pool.map(fn, xs)

    def each(self, fn, xs):
        return self.pool.map(fn, xs, 1)

    def close(self):
        self.pool.terminate()
        self.pool.join()


class Executor:
    def __init__(self, n=WORKERS):
        import concurrent.futures
        self.pool = concurrent.futures.ProcessPoolExecutor(n)

    def call(self, fn, x):
        return self.pool.submit(fn, x).result()

    def submit(self, fn, x):
        return self.pool.submit(fn, x)

    def result(self, future):
        return future.result()

    def map(self, fn, xs):
        return list(self.pool.map(fn, xs, chunksize=max(1, len(xs) // (4 * WORKERS))))

    def each(self, fn, xs):
        return list(self.pool.map(fn, xs))

    def close(self):
        self.pool.shutdown(wait=True, cancel_futures=True)


class Threads(Executor):
    def __init__(self, n=WORKERS):
        import concurrent.futures
        self.pool = concurrent.futures.ThreadPoolExecutor(n)


class Joblib:
    def __init__(self, n=WORKERS):
        import joblib
        self.delayed = joblib.delayed
        self.parallel = joblib.Parallel(n_jobs=n).__enter__()

    def call(self, fn, x):
        return self.parallel([self.delayed(fn)(x)])[0]

    def map(self, fn, xs):
        return self.parallel(self.delayed(fn)(x) for x in xs)

    def each(self, fn, xs):
        return self.map(fn, xs)

    def one_by_one(self, fn, xs):
        import joblib
        return joblib.Parallel(n_jobs=WORKERS, batch_size=1)(self.delayed(fn)(x) for x in xs)

    def close(self):
        self.parallel.__exit__(None, None, None)
        from joblib.externals.loky import get_reusable_executor
        get_reusable_executor().shutdown(wait=True, kill_workers=True)


class Dask:
    """Bags under the multiprocessing scheduler, whose pool does not outlive a call."""

    def __init__(self, n=WORKERS):
        import dask.bag
        self.bag, self.n = dask.bag, n

    def map(self, fn, xs, parts=4 * WORKERS):
        xs = list(xs)
        bag = self.bag.from_sequence(xs, npartitions=min(parts, len(xs)))
        return bag.map(fn).compute(scheduler="processes", num_workers=self.n)

    def each(self, fn, xs):
        return self.map(fn, xs, len(xs))

    def call(self, fn, x):
        return self.map(fn, [x])[0]

    def close(self):
        pass


class Distributed:
    tasks = 4000

    def __init__(self, n=WORKERS):
        import distributed
        folder = tempfile.mkdtemp()
        folders.append(folder)
        self.cluster = distributed.LocalCluster(n_workers=n, threads_per_worker=1, dashboard_address=None,
                                                memory_limit=None, silence_logs=50,
                                                local_directory=folder)
        self.client = distributed.Client(self.cluster)

    def call(self, fn, x):
        return self.client.submit(fn, x, pure=False).result()

    def submit(self, fn, x):
        return self.client.submit(fn, x, pure=False)

    def result(self, future):
        return future.result()

    def map(self, fn, xs):
        import dask.bag
        return dask.bag.from_sequence(xs, npartitions=4 * WORKERS).map(fn).compute(scheduler=self.client)

    def each(self, fn, xs):
        return self.client.gather(self.client.map(fn, xs, pure=False))

    def close(self):
        self.client.close()
        self.cluster.close()


WAYS = {"pool": Pool, "executor": Executor, "threads": Threads, "joblib": Joblib, "dask": Dask,
        "distributed": Distributed}


# ---- the workloads ----

class Refused(Exception):
    pass


def warm(way, n=WORKERS):
    pool = way(n)
    pool.map(trivial, list(range(64)))
    return pool


def needs(way, method):
    if not hasattr(way, method):
        raise Refused


def first_result(way):
    start = now()
    way().call(trivial, 1)
    return 1e3 * (now() - start)


def round_trip(way):
    pool, n = warm(way), 20 if way in (Dask, Joblib) else 300
    start = now()
    for i in range(n):
        pool.call(trivial, i)
    return 1e6 / n * (now() - start)


def tasks(way):
    if way is Dask:
        raise Refused
    pool, n = warm(way), getattr(way, "tasks", TASKS)
    start = now()
    if hasattr(way, "submit"):
        futures = [pool.submit(trivial, i) for i in range(n)]
        values = [pool.result(f) for f in futures]
    else:
        values = getattr(pool, "one_by_one", pool.each)(trivial, list(range(n)))
    taken = now() - start
    assert values == list(range(n))
    return 1e6 / n * taken


def batches(way):
    pool, xs = warm(way), list(range(TASKS))
    start = now()
    values = list(pool.map(trivial, xs))
    taken = now() - start
    assert values == xs
    return 1e6 / TASKS * taken


def map_elements(way):
    pool, xs = warm(way), list(range(ELEMENTS))
    start = now()
    values = pool.map(add_one, xs)
    taken = now() - start
    assert values[-1] == ELEMENTS
    return 1e9 / ELEMENTS * taken


def string(way):
    if way is Threads:
        raise Refused  # nothing moves
    pool, text = warm(way), b"x" * TEXT
    start = now()
    back = pool.call(trivial, text)
    taken = now() - start
    assert len(back) == TEXT
    return 2 * TEXT / 1e9 / taken


def records(way):
    if way is Threads:
        raise Refused
    pool = warm(way)
    xs = [{"id": i, "name": "name %d" % i, "x": i * 0.5} for i in range(RECORDS)]
    start = now()
    back = pool.call(trivial, xs)
    taken = now() - start
    assert len(back) == RECORDS and back[-1]["id"] == RECORDS - 1
    return 1e3 * taken


def pi_speed_up(way):
    taken = {}
    for n in (1, WORKERS):
        pool = warm(way, n)
        start = now()
        inside = sum(pool.each(pi, range(PI_TASKS)))
        taken[n] = now() - start
        assert abs(4 * inside / (PI_TASKS * PI_DRAWS) - math.pi) < 0.01
        pool.close()
    return taken[1] / taken[WORKERS]


def idle_memory(way):
    if way in (Threads, Dask):
        raise Refused
    pool = warm(way)
    return private_bytes(pool.call(worker_pid, 0)) / (1 << 20)


def inherited(way, make):
    global shared
    if way not in (Pool, Executor):
        raise Refused  # no fork of the master's memory
    shared = make()
    before = max(b for b, _ in way().each(read_nothing, [0, 1]))
    after = max(b for b, _ in way().each(read_half, [0, 1]))
    return (after - before) / (1 << 20)


def numbers(way):
    return inherited(way, lambda: array.array("d", bytes(8 * LARGE)))


def objects(way):
    return inherited(way, lambda: [i * 0.5 for i in range(OBJECTS)])


def durations():
    """As ours.lua has them: a long tail, 4 seconds in all."""
    xs = [1 / (i + 1) for i in range(200)]
    scale = 4 / sum(xs)
    return [x * scale for x in reversed(xs)]


def long_tail(way):
    pool, xs = warm(way), durations()
    start = now()
    pool.each(sleep, xs)
    return (now() - start) / max(sum(xs) / WORKERS, max(xs))


def queue(way):
    needs(way, "submit")
    if way is Distributed:
        raise Refused  # a task that waits costs the scheduler's process, not ours
    pool = warm(way)
    busy = [pool.submit(sleep, 1000) for _ in range(4 * WORKERS)]
    held, before = [None] * QUEUED, private_bytes()
    start = now()
    for i in range(QUEUED):
        held[i] = pool.submit(trivial, i)
    taken = now() - start
    grown = private_bytes() - before
    assert busy
    return grown / QUEUED, 1e6 / QUEUED * taken


def queued_memory(way):
    return queue(way)[0]


def queued_time(way):
    return queue(way)[1]


def words(way, suffix=".txt"):
    pool, folder = warm(way), sys.argv[3]
    paths = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(suffix))
    start = now()
    total = collections.Counter()
    for counts in pool.each(count_words, paths):
        total.update(counts)
    taken = now() - start
    assert len(paths) == 16 and sum(total.values()) > 1000000
    return taken


def words_gzip(way):
    return words(way, ".gz")


def means(way):
    if way is Threads:
        raise Refused
    pool = warm(way)
    start = now()
    assert len(pool.each(normals, range(16))) == 16
    return now() - start


WORKLOADS = {
    "first": first_result, "round_trip": round_trip, "tasks": tasks, "batches": batches, "map": map_elements,
    "string": string, "records": records, "pi": pi_speed_up, "idle": idle_memory, "numbers": numbers,
    "objects": objects, "tail": long_tail, "queued_memory": queued_memory, "queued_time": queued_time, "words": words,
    "words_gzip": words_gzip, "means": means,
}


def descendants(pid):
    found = []
    for path in glob.glob("/proc/%d/task/*/children" % pid):
        try:
            with open(path) as numbers:
                children = [int(number) for number in numbers.read().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue  # that thread has ended
        for child in children:
            found += descendants(child) + [child]
    return found


def is_tracker(pid):
    """Of semaphores and mapped files: it removes what is left, and ends when we have."""
    with open("/proc/%d/cmdline" % pid, "rb") as words:
        return b"resource_tracker" in words.read()


def main():
    way = WAYS[sys.argv[1]]
    if sys.argv[2] == "--version":
        module = {"joblib": "joblib", "dask": "dask", "distributed": "distributed"}.get(sys.argv[1])
        print("Python", sys.version.split()[0], module or "", __import__(module).__version__ if module else "")
        return
    try:
        figure = WORKLOADS[sys.argv[2]](way)
    except Refused:
        sys.exit(REFUSED)
    print(figure, flush=True)
    for pid in descendants(os.getpid()):  # pools that are busy, or were dropped
        try:
            if not is_tracker(pid):
                os.kill(pid, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended by itself
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    main()
