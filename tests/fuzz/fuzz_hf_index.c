/* model.safetensors.index.json. Property: no crash; what decodes encodes to what decodes to the same.
 * corpus: tests/golden/hf/transformers tests/golden/hf/dcp-one */
#include <stdlib.h>
#include <string.h>

#include "format/hf_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tt_arena arena = { .limit = 64 << 20 };
    struct tt_hf_index index, again;
    struct tt_buf json = { 0 };

    if (tt_hf_index_decode(&index, &arena, data, size, "fuzz", NULL) == TT_OK) {
        tt_hf_index_encode(&json, &index, size);
        if (json.failed || tt_hf_index_decode(&again, &arena, json.data, json.len, "again", NULL) != TT_OK || again.n != index.n)
            abort();
        for (size_t i = 0; i < index.n; i++)
            if (strcmp(index.items[i].tensor, again.items[i].tensor) != 0 || strcmp(index.items[i].file, again.items[i].file) != 0)
                abort();
    }
    tt_buf_release(&json);
    tt_arena_release(&arena);
    return 0;
}
