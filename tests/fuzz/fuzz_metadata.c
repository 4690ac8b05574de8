/* .metadata. Property: no crash; what decodes is encoded, decoded and encoded again with the same bytes.
 * corpus: tests/golden/dialects tests/golden/versions tests/golden/megatron tests/golden/bad tests/golden/metadata-ranks2 tests/golden/dcp-zstd tests/golden/dcp-rows4 */
#include <stdlib.h>
#include <string.h>

#include "format/metadata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tt_entries entries = { 0 }, again = { 0 };
    struct tt_buf first = { 0 }, second = { 0 };

    if (tt_metadata_decode(&entries, data, size, "input", NULL) == TT_OK) {
        if (tt_metadata_encode(&first, &entries, NULL) != TT_OK)
            abort();
        if (tt_metadata_decode(&again, first.data, first.len, "rewritten", NULL) != TT_OK)
            abort();
        if (tt_metadata_encode(&second, &again, NULL) != TT_OK)
            abort();
        if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0)
            abort();
    }
    tt_entries_release(&entries);
    tt_entries_release(&again);
    tt_buf_release(&first);
    tt_buf_release(&second);
    return 0;
}
