/* The header of a .safetensors file. Property: no crash; a file that decodes encodes to one that decodes to the same tensors.
 * corpus: tests/golden/hf */
#include <stdlib.h>
#include <string.h>

#include "format/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same_dims(int n, const int64_t *a, const int64_t *b) { return n == 0 || memcmp(a, b, (size_t)n * sizeof *a) == 0; }

static void check_again(const struct tt_st_file *f, struct tt_arena *arena)
{
    struct tt_buf bytes = { 0 };
    struct tt_st_file again;
    uint64_t nbytes = 0;

    for (size_t i = 0; i < f->n; i++)
        nbytes += f->tensors[i].nbytes;
    struct tt_st_tensor *tensors = tt_arena_array(arena, f->n, sizeof *tensors);
    if (!tensors || nbytes > 1 << 20)
        return;
    if (f->n)
        memcpy(tensors, f->tensors, f->n * sizeof *tensors);
    if (tt_st_encode(&bytes, tensors, f->n, f->metadata, NULL) != TT_OK)
        abort();
    tt_buf_fill(&bytes, 0, (size_t)nbytes);
    const struct tt_source src = { .data = bytes.data, .nbytes = bytes.len, .name = "again" };
    if (bytes.failed || tt_st_decode(&again, arena, &src, NULL) != TT_OK || again.n != f->n ||
        !f->metadata != !again.metadata || (f->metadata && !tt_value_equal(f->metadata, again.metadata)))
        abort();
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->tensors[i].name, again.tensors[i].name) != 0 || f->tensors[i].dtype != again.tensors[i].dtype ||
            f->tensors[i].ndim != again.tensors[i].ndim || f->tensors[i].nbytes != again.tensors[i].nbytes ||
            !same_dims(f->tensors[i].ndim, f->tensors[i].shape, again.tensors[i].shape) ||
            tensors[i].offset != again.tensors[i].offset)
            abort();
    tt_buf_release(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tt_arena arena = { .limit = 64 << 20 };
    const struct tt_source src = { .data = data, .nbytes = size, .name = "fuzz" };
    struct tt_st_file f;

    if (size > TT_ST_PREFIX_NBYTES && !tt_st_is_start(data) && tt_st_decode(&f, &arena, &src, NULL) == TT_OK)
        abort();
    if (tt_st_decode(&f, &arena, &src, NULL) == TT_OK)
        check_again(&f, &arena);
    tt_arena_release(&arena);
    return 0;
}
