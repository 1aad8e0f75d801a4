/* Hostile .npy files: the head must be refused or make sense, whatever its bytes are. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/array_npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mf_npy_head h;
    struct mf_fault fault = {.text = ""};
    uint8_t *exact = malloc(size ? size : 1); /* so that reading past the end shows */
    if (!exact)
        return 0;
    memcpy(exact, data, size);
    enum mf_err e = mf_npy_parse(exact, size, &h, &fault);
    free(exact);
    if (e == MF_OK && (h.data > size || h.ndim < 1 || h.ndim > MF_ARRAY_DIMS || h.size < 1 || h.size > 8))
        abort();
    if (e == MF_ELIMIT && h.data <= size)
        abort();
    if (e != MF_OK && e != MF_ELIMIT && !fault.text[0])
        abort();
    return 0;
}
