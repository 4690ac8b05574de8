#include "convert/place.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "ckpt/keys.h"
#include "convert/balance.h"

enum { ITEM_NBYTES = 1536 }; /* what a torch zip takes around the elements of a small tensor */

static tt_status nomem(const struct tt_recipe *recipe, struct tt_err *err)
{
    return tt_err_nomem(err, recipe->arena.used, "the places of a checkpoint's items");
}

static const struct tt_candidates any_file = { 0 };

/* A value, which lies in one file. Without one that it must be in, in any. */
static tt_status place_value(struct tt_balance *b, struct tt_recipe *recipe, struct tt_recipe_item *item, const uint32_t *file,
                             struct tt_err *err)
{
    struct tt_placed *placed = tt_arena_alloc(&recipe->arena, sizeof *placed);
    const bool stored = item->entry && item->entry->nchunks == 1;
    const uint64_t nbytes = stored ? item->entry->chunks->nbytes : ITEM_NBYTES;

    if (!placed)
        return nomem(recipe, err);
    item->placed = placed;
    item->nplaced = 1;
    if (!file)
        return tt_balance_open(b, placed, nbytes, &any_file, err);
    placed->file = *file;
    b->load[*file] += nbytes;
    return TT_OK;
}

/* --- a job ---------------------------------------------------------------------------------------------------------------------- */

static uint64_t shard_nbytes(enum tt_dtype dtype, int ndim, const struct tt_shard *s)
{
    int64_t numel = 0;
    return ITEM_NBYTES + (tt_numel(ndim, s->sizes, &numel) ? (uint64_t)numel * tt_dtype_nbytes(dtype) : 0);
}

tt_status tt_place_shards(struct tt_balance *b, struct tt_placed *placed, const struct tt_holders *holders, enum tt_dtype dtype,
                          int ndim, struct tt_err *err)
{
    tt_status st = TT_OK;
    for (uint32_t c = 0; c < holders->shards->n && st == TT_OK; c++) {
        const struct tt_shard *s = &holders->shards->s[c];
        const struct tt_candidates among = { s->ranks, s->nranks, holders->bases, holders->nbases };
        const uint64_t nbytes = shard_nbytes(dtype, ndim, s);
        placed[c] = (struct tt_placed){ .offsets = s->offsets, .sizes = s->sizes };
        if (s->nranks > 1 || holders->nbases > 1) {
            st = tt_balance_open(b, &placed[c], nbytes, &among, err);
        } else {
            placed[c].file = holders->bases[0] + s->ranks[0];
            b->load[placed[c].file] += nbytes;
        }
    }
    return st;
}

tt_status tt_place_anywhere(struct tt_balance *b, struct tt_placed *placed, struct tt_err *err)
{
    return tt_balance_open(b, placed, ITEM_NBYTES, &any_file, err);
}

/* The job knows a key by the name that it has now, or that it had. */
static tt_status find_holders(struct tt_holders *out, struct tt_job *job, const struct tt_output *o, struct tt_err *err)
{
    const struct tt_entry *src = o->nparts ? o->parts[0].src : NULL;
    tt_status st = tt_job_find(out, job, o->fqn, o->ndim, o->shape, err);
    if (st != TT_OK && src && strcmp(src->fqn, o->fqn) != 0 && tt_job_find(out, job, src->fqn, o->ndim, o->shape, NULL) == TT_OK)
        st = TT_OK;
    return st;
}

static tt_status place_tensor(struct tt_balance *b, struct tt_recipe *recipe, struct tt_job *job, struct tt_recipe_item *item,
                              struct tt_err *err)
{
    struct tt_holders holders;
    tt_status st = find_holders(&holders, job, &item->output, err);
    if (st != TT_OK)
        return st;
    struct tt_placed *placed = tt_arena_array(&recipe->arena, holders.shards->n, sizeof *placed);
    if (!placed)
        return nomem(recipe, err);
    item->placed = placed;
    item->nplaced = holders.shards->n;
    return tt_place_shards(b, placed, &holders, item->output.dtype, item->output.ndim, err);
}

static tt_status name_files(struct tt_target *target, struct tt_arena *arena, uint32_t n, struct tt_err *err)
{
    const char **files = tt_arena_array(arena, n, sizeof *files);
    for (uint32_t r = 0; files && r < n; r++)
        if (!(files[r] = tt_arena_printf(arena, "__%" PRIu32 "_0.distcp", r)))
            files = NULL;
    if (!files)
        return tt_err_nomem(err, n * sizeof *files, "the names of files");
    target->files = files;
    target->nfiles = n;
    return TT_OK;
}

tt_status tt_place_job(struct tt_recipe *recipe, struct tt_target *target, struct tt_job *job, struct tt_err *err)
{
    const uint32_t nranks = (uint32_t)tt_degrees_nranks(&job->degrees);
    struct tt_balance b;
    tt_status st = tt_balance_init(&b, nranks, err);

    for (size_t i = 0; i < recipe->n && st == TT_OK; i++) {
        struct tt_recipe_item *item = &recipe->items[i];
        st = item->kind == TT_ENTRY_VALUE ? place_value(&b, recipe, item, NULL, err) : place_tensor(&b, recipe, job, item, err);
    }
    if (st == TT_OK)
        st = tt_balance_decide(&b, err);
    tt_balance_release(&b);
    return st == TT_OK ? name_files(target, &recipe->arena, nranks, err) : st;
}

/* --- another checkpoint --------------------------------------------------------------------------------------------------------- */

/* Its files, and those of its ranks that have none of its items. */
static tt_status take_files(struct tt_target *target, struct tt_recipe *recipe, const struct tt_ckpt *other, struct tt_err *err)
{
    char **names = NULL;
    size_t nnames = 0;
    tt_status st = tt_dir_list(&recipe->arena, other->path, &names, &nnames, err);
    if (st != TT_OK)
        return st;
    const char **files = tt_arena_array(&recipe->arena, other->entries.nfiles + nnames, sizeof *files);
    if (!files)
        return nomem(recipe, err);
    size_t n = other->entries.nfiles;
    if (n)
        memcpy(files, other->entries.files, n * sizeof *files);
    for (size_t i = 0; i < nnames; i++) {
        uint64_t known;
        if (tt_has_suffix(names[i], ".distcp") && !tt_map_get(&other->entries.by_file, names[i], strlen(names[i]), &known))
            files[n++] = names[i];
    }
    target->files = files;
    target->nfiles = n;
    return TT_OK;
}

/* Where the parameter is whose moment the item is; NULL: it is none, or there is none. */
static const struct tt_entry *model_of_slot(const struct tt_ckpt *other, const struct tt_output *o)
{
    const struct tt_key key = tt_key_of(o->fqn);
    uint64_t i;
    if (key.kind != TT_KEY_OPTIMIZER || !key.param || o->ndim == 0 ||
        !tt_map_get(&other->entries.by_fqn, key.param, key.nparam, &i))
        return NULL;
    return &other->entries.items[i];
}

static tt_status place_chunks(struct tt_balance *b, struct tt_recipe *recipe, struct tt_recipe_item *item,
                              const struct tt_entry *model, const char *where, struct tt_err *err)
{
    const struct tt_output *o = &item->output;
    const size_t n = (size_t)o->ndim * sizeof *o->shape;
    char expected[200], found[200];

    if (model->kind != TT_ENTRY_TENSOR)
        return tt_err_set(err, TT_EINVAL, "key %s: %s has a value there, not a tensor", o->fqn, where);
    if (model->ndim != o->ndim || (n && memcmp(model->shape, o->shape, n) != 0))
        return tt_err_set(err, TT_EINVAL, "key %s: expected %s, which %s has, found %s", o->fqn,
                          tt_dims_text(expected, sizeof expected, model->ndim, model->shape), where,
                          tt_dims_text(found, sizeof found, o->ndim, o->shape));
    struct tt_placed *placed = tt_arena_array(&recipe->arena, model->nchunks, sizeof *placed);
    if (!placed)
        return nomem(recipe, err);
    for (uint32_t c = 0; c < model->nchunks; c++) {
        const struct tt_chunk *chunk = &model->chunks[c];
        placed[c] = (struct tt_placed){ chunk->offsets, chunk->sizes, chunk->file < b->nfiles ? chunk->file : 0 };
        b->load[placed[c].file] += chunk->nbytes;
    }
    item->placed = placed;
    item->nplaced = model->nchunks;
    return TT_OK;
}

/* The entry that says where the item goes; NULL: there is none. */
static const struct tt_entry *model_of(const struct tt_recipe_item *item, const struct tt_ckpt *other, bool as_is)
{
    if (as_is)
        return item->kind == TT_ENTRY_TENSOR ? item->output.parts[0].src : item->entry;
    return tt_entries_find(&other->entries, item->fqn);
}

/* A scalar of the optimizer that the other checkpoint does not have goes to any file. */
static tt_status place_scalar(struct tt_balance *b, struct tt_recipe *recipe, struct tt_recipe_item *item, struct tt_err *err)
{
    struct tt_placed *placed = tt_arena_alloc(&recipe->arena, sizeof *placed);
    if (!placed)
        return nomem(recipe, err);
    item->placed = placed;
    item->nplaced = 1;
    return tt_place_anywhere(b, placed, err);
}

static tt_status place_item(struct tt_balance *b, struct tt_recipe *recipe, struct tt_recipe_item *item, const struct tt_ckpt *other,
                            bool as_is, struct tt_err *err)
{
    const struct tt_entry *model = model_of(item, other, as_is);
    const bool has_file = model && model->nchunks == 1 && model->chunks->file < b->nfiles;
    if (item->kind == TT_ENTRY_VALUE)
        return place_value(b, recipe, item, has_file ? &model->chunks->file : NULL, err);
    if (!model)
        model = model_of_slot(other, &item->output);
    if (!model && item->output.ndim == 0 && tt_key_of(item->fqn).kind == TT_KEY_OPTIMIZER)
        return place_scalar(b, recipe, item, err);
    if (!model)
        return tt_err_set(err, TT_EINVAL, "key %s: %s has no such tensor; --exclude leaves it out", item->fqn, other->path);
    return place_chunks(b, recipe, item, model, other->path, err);
}

static tt_status place_by(struct tt_recipe *recipe, struct tt_target *target, const struct tt_ckpt *other, bool as_is,
                          struct tt_err *err)
{
    struct tt_balance b = { 0 };
    tt_status st = TT_OK;

    if (other->format != TT_CKPT_DCP)
        return tt_err_set(err, TT_EINVAL, "%s: expected a DCP folder, whose files are ranks'", other->path);
    st = take_files(target, recipe, other, err);
    if (st == TT_OK && target->nfiles == 0)
        st = name_files(target, &recipe->arena, 1, err);
    if (st == TT_OK)
        st = tt_balance_init(&b, (uint32_t)target->nfiles, err);
    for (size_t i = 0; i < recipe->n && st == TT_OK; i++)
        st = place_item(&b, recipe, &recipe->items[i], other, as_is, err);
    if (st == TT_OK)
        st = tt_balance_decide(&b, err);
    tt_balance_release(&b);
    return st;
}

tt_status tt_place_like(struct tt_recipe *recipe, struct tt_target *target, const struct tt_ckpt *other, struct tt_err *err)
{
    return place_by(recipe, target, other, false, err);
}

tt_status tt_place_as_is(struct tt_recipe *recipe, struct tt_target *target, const struct tt_ckpt *source, struct tt_err *err)
{
    return place_by(recipe, target, source, true, err);
}
