#include "ckpt/values.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt/ckpt_private.h"
#include "format/pt.h"

enum {
    SMALL_NBYTES = 1 << 16, /* a larger item is read by itself */
    GAP_NBYTES = 1 << 14,   /* read with what lies around it, and not looked at */
    RUN_NBYTES = 1 << 22,   /* of one read */
};

struct tt_values {
    struct tt_ckpt *ckpt;
    struct tt_arena arena;
    const uint8_t **items;       /* (entries.n) NULL: not read ahead */
    const struct tt_err **files; /* (entries.nfiles) why a file cannot be opened; NULL: nobody tried, or it can */
};

struct small {
    const struct tt_chunk *chunk;
    size_t entry;
};

static int by_place(const void *a, const void *b)
{
    const struct tt_chunk *x = ((const struct small *)a)->chunk, *y = ((const struct small *)b)->chunk;
    return x->file != y->file ? (x->file < y->file ? -1 : 1) : (x->offset > y->offset) - (x->offset < y->offset);
}

static size_t find_small(const struct tt_ckpt *ckpt, const struct tt_key_filter *filter, struct small *small)
{
    size_t n = 0;
    for (size_t i = 0; i < ckpt->entries.n; i++) {
        const struct tt_entry *e = &ckpt->entries.items[i];
        if (e->kind == TT_ENTRY_VALUE && !e->value && e->nchunks == 1 && e->chunks->codec == TT_CODEC_BLOB &&
            e->chunks->nbytes <= SMALL_NBYTES && e->chunks->file != TT_FILE_NONE && tt_key_taken(filter, e->fqn))
            small[n++] = (struct small){ e->chunks, i };
    }
    qsort(small, n, sizeof *small, by_place);
    return n;
}

/* How many items from small[0] on one read takes. */
static size_t run_length(const struct small *small, size_t n, uint64_t *nbytes)
{
    const struct tt_chunk *first = small[0].chunk;
    uint64_t end = first->offset + first->nbytes;
    size_t k = 1;

    for (; k < n && small[k].chunk->file == first->file; k++) {
        const struct tt_chunk *c = small[k].chunk;
        if (c->offset > end && c->offset - end > GAP_NBYTES)
            break;
        if (c->offset - first->offset + c->nbytes > RUN_NBYTES)
            break;
        if (end < c->offset + c->nbytes)
            end = c->offset + c->nbytes;
    }
    *nbytes = end - first->offset;
    return k;
}

/* What does not fit into the file, or cannot be read, is left for tt_values_read to say. */
static tt_status read_run(struct tt_values *v, const struct small *small, size_t n, uint64_t nbytes, struct tt_err *err)
{
    const struct tt_chunk *first = small[0].chunk;
    const struct tt_infile *file = NULL;
    struct tt_err why;

    if (v->files[first->file])
        return TT_OK;
    if (tt_files_pin(&v->ckpt->files, first->file, &file, &why) != TT_OK) {
        struct tt_err *copy = tt_arena_alloc(&v->arena, sizeof *copy);
        if (!copy)
            return tt_err_nomem(err, sizeof *copy, "an error");
        *copy = why;
        v->files[first->file] = copy;
        return TT_OK;
    }
    tt_status st = TT_OK;
    if (first->offset <= file->nbytes && nbytes <= file->nbytes - first->offset) {
        uint8_t *bytes = tt_arena_alloc(&v->arena, (size_t)nbytes);
        if (!bytes)
            st = tt_err_nomem(err, (size_t)nbytes, "values");
        else if (tt_infile_pread(file, bytes, (size_t)nbytes, first->offset, NULL) == TT_OK)
            for (size_t i = 0; i < n; i++)
                v->items[small[i].entry] = bytes + (small[i].chunk->offset - first->offset);
    }
    tt_files_unpin(&v->ckpt->files, first->file);
    return st;
}

static tt_status read_ahead(struct tt_values *v, const struct tt_key_filter *filter, struct tt_err *err)
{
    struct small *small = malloc((v->ckpt->entries.n + 1) * sizeof *small);
    uint64_t total = 0, nbytes = 0;
    tt_status st = small ? TT_OK : tt_err_nomem(err, v->ckpt->entries.n * sizeof *small, "values");
    const size_t n = small ? find_small(v->ckpt, filter, small) : 0;

    for (size_t i = 0, k; i < n && st == TT_OK; i += k) {
        k = run_length(small + i, n - i, &nbytes);
        total += nbytes;
        if (total > TT_VALUES_AHEAD_NBYTES)
            break;
        st = read_run(v, small + i, k, nbytes, err);
    }
    free(small);
    return st;
}

tt_status tt_values_new(struct tt_values **out, struct tt_ckpt *ckpt, const struct tt_key_filter *filter, struct tt_err *err)
{
    struct tt_values *v = calloc(1, sizeof *v);
    if (!v)
        return tt_err_nomem(err, sizeof *v, "values");
    v->ckpt = ckpt;
    v->items = tt_arena_array(&v->arena, ckpt->entries.n, sizeof *v->items);
    v->files = tt_arena_array(&v->arena, ckpt->entries.nfiles, sizeof *v->files);
    tt_status st = v->items && v->files ? TT_OK : tt_err_nomem(err, ckpt->entries.n * sizeof *v->items, "values");
    if (st == TT_OK && !ckpt->is_pipe)
        st = read_ahead(v, filter, err);
    if (st == TT_OK)
        *out = v;
    else
        tt_values_free(v);
    return st;
}

void tt_values_free(struct tt_values *v)
{
    if (!v)
        return;
    tt_arena_release(&v->arena);
    free(v);
}

const uint8_t *tt_values_item(const struct tt_values *v, const struct tt_entry *entry, size_t *nbytes)
{
    const uint8_t *item = v->items[entry - v->ckpt->entries.items];
    if (item)
        *nbytes = (size_t)entry->chunks->nbytes;
    return item;
}

tt_status tt_values_read(struct tt_values *v, const struct tt_entry *entry, struct tt_arena *arena, const struct tt_value **out,
                         struct tt_err *err)
{
    struct tt_source src = { .data = v->items[entry - v->ckpt->entries.items] };
    const struct tt_chunk *c = entry->chunks;

    if (!src.data && c && c->file != TT_FILE_NONE && c->file < v->ckpt->entries.nfiles && v->files[c->file])
        return tt_err_set(err, v->files[c->file]->status, "%s", v->files[c->file]->msg);
    if (!src.data)
        return tt_ckpt_read_object(v->ckpt, entry, arena, out, err);
    src.offset = c->offset;
    src.nbytes = c->nbytes;
    src.name = tt_arena_printf(arena, "%s/%s: key %s: item at %" PRIu64, v->ckpt->path, v->ckpt->entries.files[c->file], entry->fqn,
                               c->offset);
    if (!src.name)
        return tt_err_nomem(err, strlen(entry->fqn), "a name");
    struct tt_pt pt = { 0 };
    const tt_status st = tt_pt_open(&pt, arena, &src, err);
    for (size_t i = 0; i < pt.nstorages && st == TT_OK; i++)
        pt.storages[i]->file = c->file;
    if (st == TT_OK)
        *out = pt.root;
    return st;
}
