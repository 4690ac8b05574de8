#include "format/entry_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tt_entries_release(struct tt_entries *entries)
{
    if (!entries)
        return;
    tt_map_release(&entries->by_fqn);
    tt_map_release(&entries->by_file);
    tt_arena_release(&entries->arena);
    *entries = (struct tt_entries){ 0 };
}

/* Room for cap in an array of the arena that has n. */
static void *grow(struct tt_arena *arena, const void *old, size_t n, size_t cap, size_t size)
{
    void *p = tt_arena_array(arena, cap, size);
    if (p && n)
        memcpy(p, old, n * size);
    return p;
}

static size_t more(size_t cap) { return cap ? cap * 2 : 16; }

static tt_status reserve(struct tt_entries *entries, size_t cap, struct tt_err *err)
{
    struct tt_entry *items = grow(&entries->arena, entries->items, entries->n, cap, sizeof *items);

    if (!items)
        return tt_err_nomem(err, cap * sizeof *items, "the list of a checkpoint's keys");
    entries->items = items;
    entries->cap = cap;
    return TT_OK;
}

tt_status tt_entries_expect(struct tt_entries *entries, size_t n, struct tt_err *err)
{
    const tt_status st = n > entries->cap ? reserve(entries, n, err) : TT_OK;
    return st == TT_OK ? tt_map_reserve(&entries->by_fqn, n, err) : st;
}

tt_status tt_entries_add(struct tt_entries *entries, const struct tt_entry *entry, struct tt_err *err)
{
    bool added;

    tt_status st = entries->n < entries->cap ? TT_OK : reserve(entries, more(entries->cap), err);
    if (st == TT_OK)
        st = tt_map_put(&entries->by_fqn, entry->fqn, strlen(entry->fqn), entries->n, &added, NULL, err);
    if (st != TT_OK)
        return st;
    if (!added)
        return tt_err_set(err, TT_EFORMAT, "key %s is there twice", entry->fqn);
    entries->items[entries->n++] = *entry;
    return TT_OK;
}

tt_status tt_entries_file(struct tt_entries *entries, const char *name, uint32_t *index, struct tt_err *err)
{
    uint64_t old;

    if (tt_map_get(&entries->by_file, name, strlen(name), &old)) {
        *index = (uint32_t)old;
        return TT_OK;
    }
    char *copy = tt_arena_str(&entries->arena, name);
    if (copy && entries->nfiles == entries->files_cap) {
        const char **files = grow(&entries->arena, entries->files, entries->nfiles, more(entries->files_cap), sizeof *files);
        entries->files = files ? files : entries->files;
        entries->files_cap = files ? more(entries->files_cap) : entries->files_cap;
    }
    if (!copy || entries->nfiles == entries->files_cap)
        return tt_err_nomem(err, strlen(name), "the list of a checkpoint's files");
    const tt_status st = tt_map_put(&entries->by_file, copy, strlen(copy), entries->nfiles, NULL, NULL, err);
    if (st != TT_OK)
        return st;
    *index = (uint32_t)entries->nfiles;
    entries->files[entries->nfiles++] = copy;
    return TT_OK;
}

struct tt_entry *tt_entries_find(const struct tt_entries *entries, const char *fqn)
{
    uint64_t i;
    return tt_map_get(&entries->by_fqn, fqn, strlen(fqn), &i) ? &entries->items[i] : NULL;
}

/* --- do the chunks tile the tensor? ------------------------------------------------------------------------------------------- */

const char *tt_dims_text(char *buf, size_t nbuf, int ndim, const int64_t *dims)
{
    size_t at = (size_t)snprintf(buf, nbuf, "(");
    for (int d = 0; d < ndim && at < nbuf; d++)
        at += (size_t)snprintf(buf + at, nbuf - at, "%s%" PRId64, d ? ", " : "", dims[d]);
    if (at < nbuf)
        snprintf(buf + at, nbuf - at, ")");
    return buf;
}

struct checker {
    const struct tt_entry *entry;
    const char *where;
    struct tt_err *err;
};

static struct tt_region region_of(const struct checker *c, uint32_t i)
{
    return tt_region_make(c->entry->ndim, c->entry->chunks[i].offsets, c->entry->chunks[i].sizes);
}

static tt_status overlap(const struct checker *c, uint32_t i, uint32_t j)
{
    char a[200], b[200];
    const struct tt_entry *e = c->entry;
    return tt_err_set(c->err, TT_EFORMAT, "%s: key %s: the chunks at %s and %s overlap", c->where, e->fqn,
                      tt_dims_text(a, sizeof a, e->ndim, e->chunks[i].offsets),
                      tt_dims_text(b, sizeof b, e->ndim, e->chunks[j].offsets));
}

/* Whether the chunk lies inside the shape, and its elements. Not by a region of its own: a large job has 150,000 of them. */
static bool fits_inside(const struct tt_entry *e, const struct tt_chunk *chunk, int64_t *numel)
{
    for (int d = 0; d < e->ndim; d++)
        if (chunk->offsets[d] < 0 || chunk->sizes[d] < 0 || chunk->offsets[d] > e->shape[d] ||
            chunk->sizes[d] > e->shape[d] - chunk->offsets[d])
            return false;
    return tt_numel(e->ndim, chunk->sizes, numel);
}

/* The usual case: along some dimension each chunk begins where the one before it ends, or behind. */
static bool are_in_order(const struct tt_entry *e)
{
    for (int d = 0; d < e->ndim; d++) {
        bool ordered = true;
        for (uint32_t i = 1; i < e->nchunks && ordered; i++)
            ordered = e->chunks[i].offsets[d] >= e->chunks[i - 1].offsets[d] + e->chunks[i - 1].sizes[d];
        if (ordered)
            return true;
    }
    return false;
}

/* A sweep along the dimension with the most cuts: each chunk is held against those that begin before it ends. */
static tt_status sweep(const struct checker *c)
{
    const struct tt_entry *e = c->entry;
    struct tt_chunk_begin *begins = calloc(e->nchunks ? e->nchunks : 1, sizeof *begins);
    tt_status st = TT_OK;

    if (!begins)
        return tt_err_nomem(c->err, e->nchunks * sizeof *begins, e->fqn);
    const int along = tt_chunks_by_begin(e, begins);
    for (size_t i = 0; i < e->nchunks && st == TT_OK; i++) {
        const struct tt_region a = region_of(c, begins[i].chunk);
        const int64_t end = tt_region_is_empty(&a) ? a.offset[along] : a.offset[along] + a.size[along];
        for (size_t j = i + 1; j < e->nchunks && begins[j].at < end && st == TT_OK; j++) {
            const struct tt_region b = region_of(c, begins[j].chunk);
            struct tt_region both;
            if (tt_region_intersect(&both, &a, &b))
                st = overlap(c, begins[i].chunk, begins[j].chunk);
        }
    }
    free(begins);
    return st;
}

tt_status tt_entry_check_chunks(const struct tt_entry *e, const char *where, struct tt_err *err)
{
    const struct checker c = { e, where, err };
    int64_t whole, covered = 0;
    char a[200], b[200], s[200];

    if (!tt_numel(e->ndim, e->shape, &whole) || whole > INT64_MAX / 16)
        return tt_err_set(err, TT_EFORMAT, "%s: key %s: %s is no shape", where, e->fqn,
                          tt_dims_text(s, sizeof s, e->ndim, e->shape));
    for (uint32_t i = 0; i < e->nchunks; i++) {
        const struct tt_chunk *chunk = &e->chunks[i];
        int64_t numel = 0;
        if (!fits_inside(e, chunk, &numel))
            return tt_err_set(err, TT_EFORMAT, "%s: key %s: the chunk at %s of %s lies outside the shape %s", where, e->fqn,
                              tt_dims_text(a, sizeof a, e->ndim, chunk->offsets), tt_dims_text(b, sizeof b, e->ndim, chunk->sizes),
                              tt_dims_text(s, sizeof s, e->ndim, e->shape));
        if (__builtin_add_overflow(covered, numel, &covered))
            return tt_err_set(err, TT_EFORMAT, "%s: key %s: its chunks overlap", where, e->fqn);
    }
    const tt_status st = e->nchunks < 2 || (e->ndim && are_in_order(e)) ? TT_OK : e->ndim ? sweep(&c) : overlap(&c, 0, 1);
    if (st == TT_OK && covered != whole)
        return tt_err_set(err, TT_EFORMAT,
                          "%s: key %s: the chunks hold %" PRId64 " of the %" PRId64 " elements of %s: there is a hole", where,
                          e->fqn, covered, whole, tt_dims_text(s, sizeof s, e->ndim, e->shape));
    return st;
}
