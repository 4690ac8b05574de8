#include <stdlib.h>

#include "ckpt/read.h"
#include "format/zip.h"

void tt_crc_pieces_release(struct tt_crc_pieces *pieces)
{
    free(pieces->items);
    *pieces = (struct tt_crc_pieces){ 0 };
}

tt_status tt_crc_pieces_add(struct tt_crc_pieces *pieces, uint64_t begin, uint64_t nbytes, uint32_t crc, struct tt_err *err)
{
    struct tt_crc_piece *last = pieces->n ? &pieces->items[pieces->n - 1] : NULL;

    pieces->total += nbytes;
    if (last && last->begin + last->nbytes == begin) { /* in order, as one thread reads: one piece is enough */
        last->crc = tt_crc32_combine(last->crc, crc, nbytes);
        last->nbytes += nbytes;
        return TT_OK;
    }
    if (pieces->n == pieces->cap) {
        const size_t cap = pieces->cap ? pieces->cap * 2 : 8;
        struct tt_crc_piece *items = realloc(pieces->items, cap * sizeof *items);
        if (!items)
            return tt_err_nomem(err, cap * sizeof *items, "checksums");
        pieces->items = items;
        pieces->cap = cap;
    }
    pieces->items[pieces->n++] = (struct tt_crc_piece){ begin, nbytes, crc };
    return TT_OK;
}

static int by_begin(const void *a, const void *b)
{
    const uint64_t x = ((const struct tt_crc_piece *)a)->begin, y = ((const struct tt_crc_piece *)b)->begin;
    return x < y ? -1 : x > y;
}

bool tt_crc_pieces_join(struct tt_crc_pieces *pieces, uint64_t nbytes, uint32_t *crc)
{
    uint64_t at = 0;
    uint32_t joined = 0;

    if (pieces->total != nbytes)
        return false;
    if (pieces->n)
        qsort(pieces->items, pieces->n, sizeof *pieces->items, by_begin);
    for (size_t i = 0; i < pieces->n; i++) {
        if (pieces->items[i].begin != at)
            return false;
        joined = i == 0 ? pieces->items[i].crc : tt_crc32_combine(joined, pieces->items[i].crc, pieces->items[i].nbytes);
        at += pieces->items[i].nbytes;
    }
    *crc = joined;
    return true;
}
