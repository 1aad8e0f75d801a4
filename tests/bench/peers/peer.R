# The workloads of the comparison under R.
#
#     Rscript peer.R WAY WORKLOAD [FOLDER]     prints one figure, in the unit that compare.lua names
#     Rscript peer.R WAY --version             what is installed, or an error
#
# WAY is cluster (parallel, PSOCK), ssh (the same on other hosts: n1 to n8 in the ssh configuration that
# MOONFLEET_BENCH_SSH names; its data go through the tunnel, as future's plan(cluster) has it), clear (parallel's own
# default: it logs in by SSH, but its data cross in the clear by a port of their own), fork (parallel, mclapply),
# multisession or multicore (future and future.apply).
# A workload that a way has no means for is refused with exit code 3.

words <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)))
way <- words[1]
workers <- 2
tasks <- 20000
elements <- 1e6
text_bytes <- 64 * 2^20
pi_tasks <- 16
pi_draws <- 1e6

now <- function() as.numeric(Sys.time())
refuse <- function() quit(status = 3)

if (way %in% c("cluster", "fork", "ssh", "clear")) {
    library(parallel)
} else {
    suppressMessages({
        library(future)
        library(future.apply)
    })
    options(future.globals.maxSize = Inf)
}
if (words[2] == "--version") {
    cat("R", as.character(getRversion()),
        if (way %in% c("multisession", "multicore")) paste("future", packageVersion("future")), "\n")
    quit()
}

# ---- the ways ----

pool <- NULL

start <- function(n = workers) {
    if (way == "cluster") pool <<- makeCluster(n)
    if (way %in% c("multisession", "multicore")) plan(way, workers = I(n)) # I: one is a process, too
    if (way == "fork") options(mc.cores = n)
}

start_hosts <- function(n) {
    shell <- if (way == "ssh") paste("sh", file.path(here, "tunnel.sh")) else "ssh -F"
    pool <<- makeCluster(paste0("n", 1:n), master = "127.0.0.1", rshcmd = paste(shell, Sys.getenv("MOONFLEET_BENCH_SSH")))
}

stop_workers <- function() {
    if (!is.null(pool)) stopCluster(pool)
    pool <<- NULL
    if (way == "multisession") plan("sequential")
}

call_one <- function(fn, x) {
    switch(way,
           cluster = , ssh = , clear = clusterCall(pool[1], fn, x)[[1]],
           fork = mccollect(mcparallel(fn(x)))[[1]],
           value(future(fn(x))))
}

# Each element a task of its own.
each <- function(fn, xs) {
    switch(way,
           cluster = clusterApplyLB(pool, xs, fn),
           fork = mclapply(xs, fn, mc.preschedule = FALSE),
           future_lapply(xs, fn, future.chunk.size = 1))
}

map <- function(fn, xs) {
    switch(way,
           cluster = parSapply(pool, xs, fn),
           fork = unlist(mclapply(xs, fn)),
           future_sapply(xs, fn))
}

warm <- function(n = workers) {
    start(n)
    invisible(map(identity, 1:64))
}

# ---- the workloads ----

private_mb <- function(pid = "self") {
    lines <- readLines(sprintf("/proc/%s/smaps_rollup", pid))
    sum(as.numeric(sub("[^0-9]*([0-9]+) kB", "\\1", grep("^Private_(Clean|Dirty)", lines, value = TRUE)))) / 1024
}

remote_work <- list(
    ssh_round_trip = function() {
        start_hosts(1)
        began <- now()
        for (i in 1:300) call_one(identity, i)
        1e6 / 300 * (now() - began)
    },
    ssh_string = function() {
        start_hosts(1)
        text <- as.raw(rep(120, text_bytes))
        call_one(identity, text)
        began <- now()
        back <- call_one(identity, text)
        taken <- now() - began
        stopifnot(length(back) == text_bytes)
        2 * text_bytes / 1e6 / taken
    },
    ssh_ready = function() {
        began <- now()
        start_hosts(8)
        clusterCall(pool, identity, 1)
        1e3 * (now() - began)
    }
)

work <- list(
    first = function() {
        began <- now()
        start()
        call_one(identity, 1)
        1e3 * (now() - began)
    },
    round_trip = function() {
        warm()
        n <- if (way == "cluster") 500 else 20
        began <- now()
        for (i in 1:n) call_one(identity, i)
        1e6 / n * (now() - began)
    },
    tasks = function() {
        warm()
        n <- if (way == "cluster") tasks else 200
        began <- now()
        values <- each(identity, seq_len(n))
        taken <- now() - began
        stopifnot(length(values) == n, values[[n]] == n)
        1e6 / n * taken
    },
    batches = function() {
        warm()
        began <- now()
        values <- map(identity, seq_len(tasks))
        taken <- now() - began
        stopifnot(length(values) == tasks, values[[tasks]] == tasks)
        1e6 / tasks * taken
    },
    map = function() {
        warm()
        began <- now()
        values <- map(function(x) x + 1, seq_len(elements))
        taken <- now() - began
        stopifnot(values[elements] == elements + 1)
        1e9 / elements * taken
    },
    string = function() {
        warm()
        text <- as.raw(rep(120, text_bytes))
        began <- now()
        back <- call_one(identity, text)
        taken <- now() - began
        stopifnot(length(back) == text_bytes)
        2 * text_bytes / 1e9 / taken
    },
    records = function() {
        warm()
        xs <- lapply(1:100000, function(i) list(id = i, name = paste("name", i), x = i * 0.5))
        began <- now()
        back <- call_one(identity, xs)
        taken <- now() - began
        stopifnot(length(back) == 100000)
        1e3 * taken
    },
    pi = function() {
        draws <- pi_draws
        inside <- compiler::cmpfun(function(i) {
            set.seed(i)
            x <- runif(draws)
            y <- runif(draws)
            count <- 0
            for (k in seq_len(draws)) if (x[k] * x[k] + y[k] * y[k] <= 1) count <- count + 1
            count
        })
        taken <- sapply(c(1, workers), function(n) {
            warm(n)
            if (way == "cluster") clusterExport(pool, "draws", environment())
            began <- now()
            total <- sum(unlist(if (n == 1 && way == "fork") lapply(1:pi_tasks, inside) else each(inside, 1:pi_tasks)))
            taken <- now() - began
            stopifnot(abs(4 * total / (pi_tasks * draws) - pi) < 0.01)
            stop_workers()
            taken
        })
        taken[1] / taken[2]
    },
    idle = function() {
        if (way %in% c("fork", "multicore")) refuse()
        warm()
        private_mb(call_one(function(x) Sys.getpid(), 0))
    },
    numbers = function() {
        if (way != "fork") refuse()
        shared <- as.numeric(seq_len(5e7))
        shared[1] <- 0
        n <- length(shared) / 2
        nothing <- max(unlist(mclapply(0:1, function(half) private_mb(), mc.cores = 2)))
        after <- max(unlist(mclapply(0:1, function(half) {
            total <- 0
            for (i in seq(half * n + 1, (half + 1) * n, by = 64)) total <- total + shared[i]
            private_mb()
        }, mc.cores = 2)))
        after - nothing
    },
    tail = function() {
        warm()
        xs <- 1 / (1:200)
        xs <- rev(xs * 4 / sum(xs))
        began <- now()
        each(Sys.sleep, xs)
        (now() - began) / max(sum(xs) / workers, max(xs))
    },
    means = function() {
        warm()
        began <- now()
        values <- each(function(i) {
            set.seed(i)
            x <- rnorm(1e7)
            c(mean(x), sd(x))
        }, 1:16)
        stopifnot(length(values) == 16)
        now() - began
    }
)

if (way %in% c("ssh", "clear")) work <- remote_work
if (is.null(work[[words[2]]])) refuse()
cat(format(work[[words[2]]](), digits = 8), "\n")
stop_workers()
