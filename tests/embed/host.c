/* A host in 40 lines: runs a script, then has its function fit work on all cores. usage: host script.lua */
#include <moonfleet.h>
#include <stdio.h>
#include <stdlib.h>

enum { FITS = 8 };

static void must(struct mf_interp *interp, enum mf_status status)
{
    if (status == MF_RUN_OK)
        return;
    fprintf(stderr, "host: %s: %s\n", mf_status_text(status), mf_error(interp));
    mf_close(interp);
    exit(EXIT_FAILURE);
}

int main(int argc, char *argv[])
{
    const struct mf_config config = {.has_seed = true, .seed = 42};
    struct mf_interp *interp;
    mf_ticket fits[FITS];
    enum mf_status opened = mf_open(&config, &interp); /* before interp is read */
    must(interp, opened);
    must(interp, mf_run_file(interp, argc > 1 ? argv[1] : NULL, false));
    for (int i = 0; i < FITS; i++) {
        const double start[] = {1.0, 2.0 + i};
        struct mf_datum arg = mf_from_numbers(start, 2);
        must(interp, mf_submit(interp, NULL, "fit", &arg, 1, &fits[i]));
    }
    must(interp, mf_wait(interp, fits, FITS, 0, -1));
    for (int i = 0; i < FITS; i++) {
        struct mf_datum result;
        size_t n = 1;
        must(interp, mf_take(interp, fits[i], &result, &n));
        printf("fit %d: %g\n", i, mf_to_number(&result));
    }
    mf_close(interp);
    return EXIT_SUCCESS;
}
