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
    if (tt_json_parse(&v, &arena, data, size, "fuzz.json", &err) == TT_OK) {
        tt_json_write(&json, v, size % 3);
        if (tt_json_parse(&again, &arena, json.data, json.len, "again.json", &err) != TT_OK ? err.status != TT_ENOMEM : !tt_value_equal(v, again))
            abort();
    }
    tt_buf_release(&json);
    tt_arena_release(&arena);
    return 0;
}
