#include <stdlib.h>
#include <string.h>

#include "format/entry_private.h"

enum { MANY = 256 };

static struct tt_chunk *nth(const struct tt_entry *e, uint32_t i) { return &e->chunks[e->order.by_offset ? e->order.by_offset[i] : i]; }

/* --- sorting ------------------------------------------------------------------------------------------------------------------ */

static int by_begin(const void *a, const void *b)
{
    const struct tt_chunk_begin *x = a, *y = b;
    return x->at != y->at ? (x->at < y->at ? -1 : 1) : x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

/* Along d: how many places chunks begin at. */
static uint32_t sort_along(const struct tt_entry *e, int d, struct tt_chunk_begin *begins)
{
    uint32_t distinct = 0;

    for (uint32_t i = 0; i < e->nchunks; i++)
        begins[i] = (struct tt_chunk_begin){ e->chunks[i].offsets[d], i };
    qsort(begins, e->nchunks, sizeof *begins, by_begin);
    for (uint32_t i = 0; i < e->nchunks; i++)
        distinct += i == 0 || begins[i].at != begins[i - 1].at;
    return distinct;
}

int tt_chunks_by_begin(const struct tt_entry *e, struct tt_chunk_begin *begins)
{
    uint32_t most = 0;
    int along = 0;

    for (int d = 0; d < e->ndim; d++) {
        const uint32_t distinct = sort_along(e, d, begins);
        if (distinct > most) {
            most = distinct;
            along = d;
        }
    }
    if (along != e->ndim - 1) /* another was sorted last */
        sort_along(e, along, begins);
    return along;
}

/* Where the chunks do not stand by their offset: an array that says how they would. */
static bool keep_order(struct tt_chunk_order *order, const struct tt_entry *e, const struct tt_chunk_begin *begins,
                       struct tt_arena *arena)
{
    bool ordered = true;

    for (uint32_t i = 0; i < e->nchunks; i++)
        ordered &= begins[i].chunk == i;
    if (ordered)
        return true;
    uint32_t *by_offset = tt_arena_array(arena, e->nchunks, sizeof *by_offset);
    for (uint32_t i = 0; by_offset && i < e->nchunks; i++)
        by_offset[i] = begins[i].chunk;
    order->by_offset = by_offset;
    return by_offset != NULL;
}

tt_status tt_chunks_sort(struct tt_entry *e, struct tt_arena *arena, struct tt_err *err)
{
    struct tt_chunk_order order = { .is_known = true };

    if (e->nchunks < MANY || e->ndim == 0)
        return TT_OK;
    struct tt_chunk_begin *begins = malloc(e->nchunks * sizeof *begins);
    bool ok = begins != NULL;
    if (ok) {
        order.along = (int8_t)tt_chunks_by_begin(e, begins);
        ok = keep_order(&order, e, begins, arena);
    }
    free(begins);
    if (!ok)
        return tt_err_nomem(err, e->nchunks * sizeof *begins, e->fqn);
    for (uint32_t i = 0; i < e->nchunks; i++)
        if (e->chunks[i].sizes[order.along] > order.longest)
            order.longest = e->chunks[i].sizes[order.along];
    e->order = order;
    return TT_OK;
}

/* --- finding ------------------------------------------------------------------------------------------------------------------ */

/* How many of an ordered entry's chunks begin before `offset`. */
static uint32_t count_before(const struct tt_entry *e, int64_t offset)
{
    uint32_t low = 0, high = e->nchunks;

    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        if (nth(e, mid)->offsets[e->order.along] < offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool meets(const struct tt_region *r, const struct tt_chunk *c)
{
    for (int d = 0; d < r->ndim; d++)
        if (r->offset[d] >= c->offsets[d] + c->sizes[d] || c->offsets[d] >= r->offset[d] + r->size[d] || c->sizes[d] == 0 ||
            r->size[d] == 0)
            return false;
    return true;
}

struct tt_chunk_search tt_chunks_in(const struct tt_entry *e, const struct tt_region *region)
{
    struct tt_chunk_search s = { .entry = e, .region = region, .end = e->nchunks };

    if (e->order.is_known) {
        const int64_t begin = region->offset[e->order.along];
        s.at = count_before(e, begin - e->order.longest + 1);
        s.end = count_before(e, begin + region->size[e->order.along]);
    }
    return s;
}

struct tt_chunk *tt_chunks_next(struct tt_chunk_search *s)
{
    while (s->at < s->end) {
        struct tt_chunk *c = nth(s->entry, s->at++);
        if (meets(s->region, c))
            return c;
    }
    return NULL;
}

struct tt_chunk *tt_chunk_find(const struct tt_entry *e, const int64_t *offsets, const int64_t *sizes)
{
    const size_t n = (size_t)e->ndim * sizeof *offsets;
    const int64_t at = e->order.is_known ? offsets[e->order.along] : 0;

    for (uint32_t i = e->order.is_known ? count_before(e, at) : 0; i < e->nchunks; i++) {
        struct tt_chunk *c = nth(e, i);
        if (e->ndim == 0 || (memcmp(c->offsets, offsets, n) == 0 && memcmp(c->sizes, sizes, n) == 0))
            return c;
        if (e->order.is_known && c->offsets[e->order.along] > at)
            break;
    }
    return NULL;
}
