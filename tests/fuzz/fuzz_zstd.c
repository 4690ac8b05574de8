/* A zstd item: its frames, and the archive that they hold. Property: no crash; in steps of any size the same bytes come, or an error of
 * the same kind; no more than was allowed.
 * corpus: tests/golden/dcp-zstd tests/golden/dialects/zstd-1.2 */
#include <stdlib.h>
#include <string.h>

#include "format/pt.h"
#include "format/zstd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DECODED_MAX = 1 << 18 };

static tt_status decode(struct tt_buf *out, const struct tt_source *src, size_t step)
{
    struct tt_zstd_reader *reader = NULL;
    size_t got = step;
    tt_status st = tt_zstd_reader_new(&reader, src, DECODED_MAX, NULL);

    while (st == TT_OK && got == step) {
        uint8_t *to = tt_buf_reserve(out, step);
        if (!to)
            abort();
        st = tt_zstd_read(reader, to, step, &got, NULL);
        if (st == TT_OK)
            out->len += got;
    }
    tt_zstd_reader_free(reader);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tt_source src = { .data = data, .nbytes = size, .name = "fuzz" };
    struct tt_buf whole = { 0 }, steps = { 0 };
    struct tt_arena arena = { .limit = 64 << 20 };
    struct tt_pt pt;
    uint64_t window = 0;

    const tt_status st = decode(&whole, &src, DECODED_MAX + 1);
    if (decode(&steps, &src, 1 + size % 1000) != st)
        abort();
    if (tt_zstd_window(&src, &window, NULL) != TT_OK)
        abort();
    if (st == TT_OK) {
        if (whole.len > DECODED_MAX || whole.len != steps.len || (whole.len && memcmp(whole.data, steps.data, whole.len) != 0))
            abort();
        const struct tt_source item = { .data = whole.data, .nbytes = whole.len, .name = "fuzz" };
        if (tt_pt_open(&pt, &arena, &item, NULL) == TT_OK && pt.nstorages && pt.storages[0]->nbytes > whole.len)
            abort();
    }
    tt_buf_release(&whole);
    tt_buf_release(&steps);
    tt_arena_release(&arena);
    return 0;
}
