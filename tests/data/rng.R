# What R draws, for tests/rng_oracle_spec.lua:  Rscript tests/data/rng.R [some | all] > tests/data/rng_figures.lua
#
# Every case is a draw in both languages from the generator of a seed. "some" prints the first and last numbers of each
# case (those are committed; a difference in between shows in the last ones, unless it is one of last bits), "all"
# prints all of them. Numbers are hexadecimal, so that no bit is lost. Needs future.apply.
all_numbers <- identical(commandArgs(TRUE), "all")
n <- 2000
weights <- function(n) (seq_len(n) * 37) %% 11 + 1 # many ties

cases <- list()
add <- function(lua, draw) cases[[length(cases) + 1]] <<- list(lua = lua, draw = draw)

add("g:uniform(nil, nil, n)", function() runif(n))
add("g:uniform(-3, 7.5, n)", function() runif(n, -3, 7.5))
add("g:normal(nil, nil, n)", function() rnorm(n))
add("g:normal(10, 2.5, n)", function() rnorm(n, 10, 2.5))
add("g:exponential(nil, n)", function() rexp(n))
add("g:exponential(0.3, n)", function() rexp(n, 0.3))
for (a in c(0.05, 0.3, 0.9999, 1, 1.5, 3.686, 3.7, 10, 13.022, 14, 100, 1e6)) local({
    a <- a
    add(sprintf("g:gamma(%.17g, 0.37, n)", a), function() rgamma(n, a, scale = 0.37))
})
for (a in c(0.01, 0.5, 1, 1.0001, 2, 30)) for (b in c(0.02, 1, 3, 500)) local({
    a <- a
    b <- b
    add(sprintf("g:beta(%.17g, %.17g, n)", a, b), function() rbeta(n, a, b))
})
for (s in c(1, 30, 60, 61, 100, 1000, 1000000)) for (p in c(0.01, 0.3, 0.5, 0.51, 0.999)) local({
    s <- s
    p <- p
    add(sprintf("g:binomial(%d, %.17g, n)", s, p), function() rbinom(n, s, p))
})
for (m in c(0.001, 1, 3, 9.99, 10, 10.5, 12, 25, 100, 1e4, 1e8)) local({
    m <- m
    add(sprintf("g:poisson(%.17g, n)", m), function() rpois(n, m))
})
for (top in c(1, 2, 6, 255, 256, 257, 65536, 65537, 1e6, 2^40)) local({
    top <- top
    add(sprintf("g:integers(1, %.0f, n)", top), function() sample.int(top, n, TRUE))
})
add("g:sample(n)", function() sample.int(n))
add("g:sample(5 * n, n)", function() sample.int(5 * n, n))
add("g:sample(20000000, n)", function() sample.int(20000000, n))
add("g:sample(7, n, { replace = true })", function() sample.int(7, n, TRUE))
for (k in c(1, 2, 50, 200, 201, 300)) local({
    k <- k
    lua <- sprintf("g:sample(%d, n, { replace = true, weights = weights(%d) })", k, k)
    add(lua, function() sample.int(k, n, TRUE, weights(k)))
})
add("g:sample(3000, n, { weights = weights(3000) })", function() sample.int(3000, n, FALSE, weights(3000)))
add("g:sample(300, 1, { weights = weights(300) })", function() sample.int(300, 1, FALSE, weights(300)))
add("g:shuffle(g:sample(n))", function() sample(sample.int(n)))

numbers <- function(x) {
    x <- sprintf("%a", as.double(x))
    paste(split(x, (seq_along(x) - 1) %/% 4) |> sapply(paste, collapse = ", "), collapse = ",\n        ")
}
words <- function(state) paste(state[-1] %% 2^32, collapse = ", ")

version <- format(packageVersion("future.apply"))
cat("-- Made by tests/data/rng.R with", R.version.string, "and future.apply", paste0(version, "\n"))
cat("local data = { cases = {}, streams = {}, elements = {} }\n")
cat(sprintf("data.n = %d\n", n))
for (i in seq_along(cases)) {
    set.seed(i, "L'Ecuyer-CMRG")
    x <- cases[[i]]$draw()
    at <- if (all_numbers || length(x) < 5) seq_along(x) else c(1:3, length(x) - 1:0)
    cat(sprintf("data.cases[%d] = { draw = \"%s\",\n", i, cases[[i]]$lua))
    if (!all_numbers) cat(sprintf("    at = { %s },\n", paste(at, collapse = ", ")))
    cat(sprintf("    values = { %s } }\n", numbers(x[at])))
}

# The states of a seed, one and three streams on, and one substream on.
for (seed in c(1, 42, -5)) {
    set.seed(seed, "L'Ecuyer-CMRG")
    start <- .Random.seed
    stream <- parallel::nextRNGStream(start)
    third <- parallel::nextRNGStream(parallel::nextRNGStream(stream))
    cat(sprintf("data.streams[%d] = {\n    start = { %s },\n    stream = { %s },\n", seed, words(start), words(stream)))
    cat(sprintf("    third = { %s },\n    substream = { %s },\n}\n", words(third),
        words(parallel::nextRNGSubStream(start))))
}

# What the elements of a map draw.
each <- function(i) {
    c(runif(2), rnorm(3, i, 2), rexp(2), rgamma(2, 2.5), rgamma(1, 0.4, scale = 3), rbeta(2, 2, 3), rbinom(2, 100, 0.4),
        rpois(2, 50), rpois(1, 3), sample(10, 4), sample(i + 1, 3, TRUE), sample(3, 2, TRUE, c(1, 2, 3)), runif(1))
}
library(future.apply)
for (seed in c(42, 7)) {
    x <- future_sapply(1:5, each, future.seed = seed)
    cat(sprintf("data.elements[%d] = {\n", seed))
    for (i in 1:5) cat(sprintf("    { %s },\n", numbers(x[, i])))
    cat("}\n")
}
cat("return data\n")
