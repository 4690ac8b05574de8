/* Torch zips. Property: no crash; every record that the directory names can be read or is an error, and lies inside the input.
 * corpus: tests/golden/pt tests/golden/dialects tests/golden/bad */
#include <stdlib.h>

#include "format/pt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tt_arena arena = { 0 };
    const struct tt_source src = { .data = data, .nbytes = size, .name = "input" };
    struct tt_zip zip, prefix;
    struct tt_pt pt, streamed;

    if (tt_zip_open(&zip, &arena, &src, NULL) == TT_OK)
        for (size_t i = 0; i < zip.n; i++) {
            const uint8_t *bytes = NULL;
            if (zip.entries[i].offset > size || zip.entries[i].nbytes > size - zip.entries[i].offset)
                abort();
            if (tt_zip_read(&zip.entries[i], &arena, &src, size, &bytes, NULL) == TT_OK && !bytes)
                abort();
            if (tt_zip_find(&zip, zip.entries[i].name) != &zip.entries[i])
                abort();
        }
    if (tt_pt_open(&pt, &arena, &src, NULL) == TT_OK)
        for (size_t i = 0; i < pt.nstorages; i++)
            if (pt.storages[i]->offset > size || pt.storages[i]->nbytes > size - pt.storages[i]->offset)
                abort();
    /* As it comes through a pipe: without the directory, and maybe without the end of a storage. */
    if (tt_zip_prefix(&prefix, &arena, data, size) && tt_pt_open_records(&streamed, &arena, &src, &prefix, NULL) == TT_OK)
        for (size_t i = 0; i < streamed.nstorages; i++)
            if (streamed.storages[i]->offset > size)
                abort();
    tt_arena_release(&arena);
    return 0;
}
