#include <string.h>

#include "ckpt/unpack.h"

/* Chunks that one piece of an output needs a part of each, as column shards are: more of them than this are not all kept open. */
enum { TOGETHER_MAX = 4 };

/* How many chunks begin at the chunk's row. */
static uint32_t together(const struct tt_entry *e, const struct tt_chunk *chunk)
{
    struct tt_region row = { .ndim = e->ndim };
    uint32_t n = 0;

    if (e->ndim == 0)
        return 0;
    memcpy(row.size, e->shape, (size_t)e->ndim * sizeof *e->shape);
    row.offset[0] = chunk->offsets[0];
    row.size[0] = 1;
    struct tt_chunk_search search = tt_chunks_in(e, &row);
    for (const struct tt_chunk *c; (c = tt_chunks_next(&search));)
        n += c->offsets[0] == chunk->offsets[0];
    return n;
}

bool tt_unpack_rows(const struct tt_output *o, const struct tt_region *region, const struct tt_entry **src, int64_t *begin, int64_t *end)
{
    const struct tt_part *part = o->parts;

    if (o->nparts != 1 || o->weights || o->ndim == 0 || !tt_part_is_plain(o, part) || !part->src->is_packed)
        return false;
    const struct tt_region box = tt_part_source(part, region);
    *src = part->src;
    *begin = box.offset[0];
    *end = box.offset[0] + box.size[0];
    return true;
}

static void expect_part(const struct tt_output *o, const struct tt_part *part, const struct tt_region *region, bool follows)
{
    const struct tt_entry *e = part->src;
    const struct tt_region box = tt_part_is_plain(o, part) ? tt_part_source(part, region) : tt_region_make(e->ndim, NULL, e->shape);
    const bool forward = part->map != TT_MAP_TRANSPOSE && !o->weights;
    struct tt_chunk_search search = tt_chunks_in(e, &box);
    for (struct tt_chunk *chunk; (chunk = tt_chunks_next(&search));) {
        if (chunk->codec != TT_CODEC_ZSTD)
            continue;
        const int n = !forward || together(e, chunk) > TOGETHER_MAX ? 2 : follows && chunk->readers == 1 ? 0 : 1;
        chunk->readers = (uint8_t)(chunk->readers + n < 2 ? chunk->readers + n : 2);
    }
}

void tt_unpack_expect(const struct tt_output *o, const struct tt_region *region, bool follows)
{
    for (size_t i = 0; i < o->nparts; i++) {
        const struct tt_part *part = &o->parts[i];
        if (part->src && part->src->is_packed)
            expect_part(o, part, region, follows);
        for (uint32_t c = 0; part->scales && c < part->scales->nchunks; c++) /* small, and asked for again and again */
            part->scales->chunks[c].readers = 2;
    }
}

uint64_t tt_unpack_spill_nbytes(const struct tt_ckpt *ckpt)
{
    enum { BESIDE_NBYTES = 1 << 16 }; /* headers, and what is lost to whole blocks */
    uint64_t nbytes = 0;

    for (size_t i = 0; i < ckpt->entries.n; i++) {
        const struct tt_entry *e = &ckpt->entries.items[i];
        for (uint32_t c = 0; c < e->nchunks; c++)
            if (e->chunks[c].codec == TT_CODEC_ZSTD && e->chunks[c].readers > 1)
                nbytes += tt_chunk_decoded_nbytes(e, &e->chunks[c]) + BESIDE_NBYTES;
    }
    return nbytes;
}
