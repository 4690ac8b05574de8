/* lib/format/entry_private.h: what the files of the catalogue share. */
#ifndef TT_FORMAT_ENTRY_PRIVATE_H
#define TT_FORMAT_ENTRY_PRIVATE_H

#include "format/entry.h"

struct tt_chunk_begin {
    int64_t at; /* the chunk's offset along the dimension */
    uint32_t chunk;
};

/* Fills begins (nchunks) with the chunks by their offset along the dimension in which they begin at most places, which it returns. */
int tt_chunks_by_begin(const struct tt_entry *entry, struct tt_chunk_begin *begins); /* ndim > 0 */

#endif
