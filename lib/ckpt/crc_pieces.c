#include <stdlib.h>

#include "ckpt/read.h"
#include "format/zip.h"

void tt_crc_pieces_release(struct tt_crc_pieces *pieces)
{
    free(pieces->items);
    *pieces = (struct tt_crc_pieces){ 0 };
}

/* A few threads read in order, each a stretch at a time: what came last is next to what comes now. */
static bool merge(struct tt_crc_pieces *pieces, uint64_t begin, uint64_t nbytes, uint32_t crc)
{
    enum { RECENT = 8 };

    for (size_t i = pieces->n; i-- > 0 && i + RECENT >= pieces->n;) {
        struct tt_crc_piece *p = &pieces->items[i];
        if (p->begin + p->nbytes == begin) {
            p->crc = tt_crc32_combine(p->crc, crc, nbytes);
        } else if (begin + nbytes == p->begin) {
            p->crc = tt_crc32_combine(crc, p->crc, p->nbytes);
            p->begin = begin;
        } else {
            continue;
        }
        p->nbytes += nbytes;
        return true;
    }
    return false;
}

tt_status tt_crc_pieces_add(struct tt_crc_pieces *pieces, uint64_t begin, uint64_t nbytes, uint32_t crc, struct tt_err *err)
{
    pieces->total += nbytes;
    if (merge(pieces, begin, nbytes, crc))
        return TT_OK;
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
