/* Pickles as values. Property: no crash; what decodes to a value is written, read and written again with the same bytes, and shown as
 * text and JSON. Then the same bytes as the data.pkl of a .pt file.
 * corpus: tests/golden/dialects tests/golden/bad */
#include <stdlib.h>
#include <string.h>

#include "format/pickle_text.h"
#include "format/pickle_value.h"
#include "format/pt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Tensors and values beyond what one run should walk are not compared. */
static int rewrite(const struct tt_value *value, struct tt_buf *out)
{
    return tt_pickle_from_value(out, value, NULL) == TT_OK && out->len < 1 << 20;
}

/* As a listing shows it. */
static void show(const struct tt_value *value)
{
    struct tt_buf text = { 0 };
    tt_value_text(&text, value, 1 << 10);
    if (text.len == 0 && !text.failed)
        abort();
    tt_value_json(&text, value);
    tt_buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tt_arena arena = { 0 };
    struct tt_pt pt;
    struct tt_buf first = { 0 }, second = { 0 };
    const struct tt_value *value = NULL, *again = NULL;

    if (tt_pickle_to_value(&arena, data, size, "input", &value, NULL) == TT_OK && rewrite(value, &first)) {
        if (tt_pickle_to_value(&arena, first.data, first.len, "rewritten", &again, NULL) != TT_OK || !rewrite(again, &second))
            abort();
        if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0)
            abort();
        show(value);
    }
    if (tt_pt_decode(&pt, &arena, data, size, "data.pkl", NULL) == TT_OK && !pt.root)
        abort();
    tt_buf_release(&first);
    tt_buf_release(&second);
    tt_arena_release(&arena);
    return 0;
}
