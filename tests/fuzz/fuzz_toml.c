/* The TOML reader: no crash; what it accepts is written as JSON and walked whole.   corpus: configs/llama3 */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "value/json.h"
#include "value/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tt_arena arena = { .limit = 64 << 20 };
    struct tt_buf json = { 0 };
    struct tt_value *v;
    struct tt_err err;
    if (tt_toml_parse(&v, &arena, data, size, "fuzz.toml", &err) == TT_OK) {
        tt_json_write(&json, v, 2);
        if (v->kind != TT_V_MAP || json.failed || !tt_value_equal(v, v))
            abort();
    }
    tt_buf_release(&json);
    tt_arena_release(&arena);
    return 0;
}
