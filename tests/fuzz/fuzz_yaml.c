/* The YAML reader: no crash; what it accepts is written as JSON and walked whole.   corpus: configs/models */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "value/json.h"
#include "value/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tt_arena arena = { .limit = 64 << 20 };
    struct tt_buf json = { 0 };
    struct tt_value *v;
    struct tt_err err;
    if (tt_yaml_parse(&v, &arena, data, size, "fuzz.yaml", &err) == TT_OK) {
        tt_json_write(&json, v, 0);
        if (json.failed || !tt_value_equal(v, v))
            abort();
    }
    tt_buf_release(&json);
    tt_arena_release(&arena);
    return 0;
}
