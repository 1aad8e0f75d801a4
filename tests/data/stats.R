# What R computes, for tests/stats_oracle_spec.lua:  Rscript tests/data/stats.R > tests/data/stats_figures.lua
options(digits = 17)
longley <- datasets::longley
faithful <- datasets::faithful
x <- faithful$eruptions
y <- faithful$waiting
w <- (seq_along(x) * 7) %% 5 # some are 0
whole <- rep(seq_along(x), w)

numbers <- function(x) {
    x <- sprintf("%.17g", as.double(x))
    paste(unname(sapply(split(x, (seq_along(x) - 1) %/% 3), paste, collapse = ", ")), collapse = ",\n    ")
}
put <- function(name, x) cat(sprintf("data.%s = { %s }\n", name, numbers(x)))

cat("-- Made by tests/data/stats.R with", paste0(R.version.string, "\n"))
cat("local data = { longley = {} }\n")
for (name in names(longley)) put(paste0("longley.", gsub(".", "_", name, fixed = TRUE)), longley[[name]])
put("x", x)
put("y", y)
put("w", w)
p <- c(0, 0.01, 0.1, 0.25, 1 / 3, 0.5, 0.77, 0.9, 0.999, 1)
put("p", p)

put("mean", mean(x))
put("var", var(x))
put("sd", sd(x))
put("median", c(median(x), median(x[-1]), median(y)))
put("quantile", quantile(x, p))
put("quantile_y", quantile(y, p))
put("cov", cov(x, y))
put("cor", cor(x, y))
put("cor_longley", cor(longley))
put("cov_longley", cov(longley))

put("weighted_mean", weighted.mean(x, w))
both <- cov.wt(cbind(x, y), w / sum(w), cor = TRUE)
put("weighted_cov", both$cov)
put("weighted_cor", both$cor)
put("weighted_quantile", quantile(x[whole], p))
put("weighted_median", median(y[whole]))

put("edges", c(40, 50, 55, 60, 72, 80, 90, 100))
put("counts", hist(y, c(40, 50, 55, 60, 72, 80, 90, 100), right = FALSE, plot = FALSE)$counts)
put("counts_even", hist(y, seq(43, 96, length.out = 11), right = FALSE, plot = FALSE)$counts)
put("sturges", nclass.Sturges(y))

report <- function(name, model) {
    s <- summary(model)
    cat(sprintf("data.%s = {}\n", name))
    put(paste0(name, ".coefficients"), coef(model))
    put(paste0(name, ".standard_errors"), s$coefficients[, 2])
    put(paste0(name, ".t_values"), s$coefficients[, 3])
    put(paste0(name, ".p_values"), s$coefficients[, 4])
    put(paste0(name, ".sigma"), s$sigma)
    put(paste0(name, ".df"), s$df[2])
    put(paste0(name, ".r_squared"), s$r.squared)
    put(paste0(name, ".adjusted_r_squared"), s$adj.r.squared)
    put(paste0(name, ".residuals"), head(residuals(model), 8))
    put(paste0(name, ".fitted"), head(fitted(model), 8))
}
report("line", lm(y ~ x))
report("origin", lm(y ~ x + I(x^2) - 1))
report("weighted", lm(y ~ x + I(x^2), weights = w))
report("employment", lm(Employed ~ GNP.deflator + GNP + Unemployed + Armed.Forces + Population + Year, longley))

t <- c(0, 1e-8, 0.1, 1, 2.5, 9, 40, 1e6)
df <- c(1, 2, 3, 10, 150, 199, 200, 201, 1000, 123456, 1e6, 1e12)
put("student_t", t)
put("student_df", df)
put("student", outer(t, df, function(t, df) 2 * pt(-t, df)))
cat("return data\n")
