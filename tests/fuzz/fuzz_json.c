/* JSON: no crash; what is read and written reads back as the same value.   corpus: tests/assets/tokenizer */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "value/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tt_arena arena = { .limit = 64 << 20 };
    struct tt_buf json = { 0 };
    struct tt_value *v, *again;
    struct tt_err err;
    const tt_status distinct = tt_json_parse_distinct(&v, &arena, data, size, "fuzz.json", &err);
    if (tt_json_parse(&v, &arena, data, size, "fuzz.json", &err) == TT_OK) {
        tt_json_write(&json, v, (int)(size % 3));
        const tt_status st = tt_json_parse(&again, &arena, json.data, json.len, "again.json", &err);
        if (st == TT_OK ? !tt_value_equal(v, again) : st != TT_ENOMEM)
            abort();
    } else if (distinct == TT_OK) {
        abort();
    }
    tt_buf_release(&json);
    tt_arena_release(&arena);
    return 0;
}
