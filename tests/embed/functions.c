/* A host whose functions run in every worker, threads and processes alike: a table of prices that a Lua script works on. It is
 * the program of its own worker processes. usage: functions plan */
#include <moonfleet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char code[] = "local mf = require('moonfleet')\n"
                           "local costs = mf.map({ 'apple', 'pear', 'plum' }, function(name)\n"
                           "    return 10 * shop.price(name)\n"
                           "end)\n"
                           "print(costs[1], costs[2], costs[3])\n"
                           "local ok, err = mf.future(function() return shop.price('stone') end):result()\n"
                           "print(ok, err)\n";

struct price {
    const char *name;
    double price;
};

/* shop.price(name) */
static void price(struct mf_call *call, void *arg)
{
    const struct price *prices = (const struct price *)arg;
    struct mf_datum name = mf_argument(call, 0);
    if (name.type != MF_TYPE_STRING) {
        mf_fail(call, "price: expected the name of a fruit");
        return;
    }
    for (size_t i = 0; prices[i].name; i++)
        if (strcmp(prices[i].name, name.string) == 0) {
            mf_return(call, mf_from_number(prices[i].price));
            return;
        }
    mf_fail(call, "price: we do not sell that");
}

static void on_state(struct mf_addition *addition, void *arg)
{
    mf_add_function(addition, "shop.price", price, arg);
}

int main(int argc, char *argv[])
{
    static struct price prices[] = {{"apple", 0.5}, {"pear", 0.75}, {"plum", 0.25}, {NULL, 0}};
    struct mf_config config = {.plan = argc == 2 ? argv[1] : NULL, .serves = true, .arg = prices, .on_state = on_state};
    struct mf_interp *interp;
    int status;
    if (mf_serve(&config, argc, argv, &status))
        return status;
    bool ok = mf_open(&config, &interp) == MF_RUN_OK && mf_run_string(interp, code, strlen(code), "=shop") == MF_RUN_OK;
    if (!ok)
        fprintf(stderr, "%s\n", mf_error(interp));
    mf_close(interp);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
