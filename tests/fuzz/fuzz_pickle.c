/* Pickles as values. Property: no crash; what decodes to a value is written, read and written again with the same bytes.
 * corpus: tests/golden/dialects tests/golden/bad */
#include <stdlib.h>
#include <string.h>

#include "format/pickle_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Tensors and values beyond what one run should walk are not compared. */
static int rewrite(const struct tt_value *value, struct tt_buf *out)
{
    return tt_pickle_from_value(out, value, NULL) == TT_OK && out->len < 1 << 20;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tt_arena arena = { 0 };
    struct tt_buf first = { 0 }, second = { 0 };
    const struct tt_value *value = NULL, *again = NULL;

    if (tt_pickle_to_value(&arena, data, size, "input", &value, NULL) == TT_OK && rewrite(value, &first)) {
        if (tt_pickle_to_value(&arena, first.data, first.len, "rewritten", &again, NULL) != TT_OK || !rewrite(again, &second))
            abort();
        if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0)
            abort();
    }
    tt_buf_release(&first);
    tt_buf_release(&second);
    tt_arena_release(&arena);
    return 0;
}
