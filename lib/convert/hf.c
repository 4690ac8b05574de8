#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "convert/hf_private.h"

tt_status tt_hf_job_begin(struct tt_hf_job *job, struct tt_recipe *recipe, struct tt_ckpt *in, const struct tt_hf_opts *opts,
                          struct tt_err *err)
{
    *job = (struct tt_hf_job){ .opts = opts, .recipe = recipe, .in = in, .prefix = "" };
    job->used = calloc(in->entries.n ? in->entries.n : 1, sizeof *job->used);
    if (!job->used)
        return tt_err_nomem(err, in->entries.n * sizeof *job->used, in->path);
    return tt_params_make(&job->params, &recipe->arena, opts->family, opts->args, err);
}

void tt_hf_job_release(struct tt_hf_job *job)
{
    free(job->used);
    tt_buf_release(&job->key);
    tt_buf_release(&job->lacking);
}

static const struct tt_entry *use_tensor(struct tt_hf_job *job)
{
    const struct tt_entry *entry = tt_entries_find(&job->in->entries, tt_buf_cstr(&job->key));
    if (!entry || entry->kind != TT_ENTRY_TENSOR)
        return NULL;
    job->used[entry - job->in->entries.items] = true;
    return entry;
}

const struct tt_entry *tt_hf_find(struct tt_hf_job *job, const char *pattern, int64_t layer, int64_t expert)
{
    tt_buf_clear(&job->key);
    tt_buf_str(&job->key, job->prefix);
    tt_family_key(&job->key, pattern, layer, expert);
    return use_tensor(job);
}

const struct tt_entry *tt_hf_find_beside(struct tt_hf_job *job, const struct tt_entry *entry, const char *from, const char *to)
{
    if (!tt_has_suffix(entry->fqn, from))
        return NULL;
    tt_buf_clear(&job->key);
    tt_buf_printf(&job->key, "%.*s%s", (int)(strlen(entry->fqn) - strlen(from)), entry->fqn, to);
    return use_tensor(job);
}

void tt_hf_lacks(struct tt_hf_job *job, const char *key) { tt_buf_printf(&job->lacking, "%s%s", job->nlacking++ ? ", " : "", key); }

tt_status tt_hf_check_lacking(struct tt_hf_job *job, struct tt_err *err)
{
    if (job->nlacking == 0)
        return TT_OK;
    return tt_err_set(err, TT_ENOENT, "%s: %zu tensor%s of this %s %s missing: %s", job->in->path, job->nlacking,
                      job->nlacking == 1 ? "" : "s", job->opts->family->name, job->nlacking == 1 ? "is" : "are",
                      tt_buf_cstr(&job->lacking));
}

tt_status tt_hf_check_shape(const struct tt_hf_job *job, const struct tt_entry *entry, int ndim, const int64_t *shape,
                            struct tt_err *err)
{
    char expected[128], found[128];

    if (entry->ndim == ndim && memcmp(entry->shape, shape, (size_t)ndim * sizeof *shape) == 0)
        return TT_OK;
    return tt_err_set(err, TT_EINVAL, "%s: %s: expected the flavor's shape %s, found %s", job->in->path, entry->fqn,
                      tt_dims_text(expected, sizeof expected, ndim, shape),
                      tt_dims_text(found, sizeof found, entry->ndim, entry->shape));
}

int64_t *tt_hf_dims(struct tt_hf_job *job, int n, const int64_t *dims)
{
    int64_t *copy = tt_arena_array(&job->recipe->arena, (size_t)n, sizeof *copy);
    if (copy)
        memcpy(copy, dims, (size_t)n * sizeof *copy);
    return copy;
}

tt_status tt_hf_add(struct tt_hf_job *job, const char *fqn, enum tt_dtype dtype, int ndim, const int64_t *shape,
                    const struct tt_part *parts, size_t nparts, struct tt_err *err)
{
    struct tt_path_part *path = tt_arena_alloc(&job->recipe->arena, sizeof *path);
    if (!path)
        return tt_err_nomem(err, sizeof *path, fqn);
    *path = (struct tt_path_part){ .key = fqn };

    const struct tt_recipe_item item = {
        .fqn = fqn,
        .path = path,
        .npath = 1,
        .kind = TT_ENTRY_TENSOR,
        .output = { .fqn = fqn, .dtype = dtype, .ndim = ndim, .shape = shape, .parts = parts, .nparts = nparts },
    };
    return tt_recipe_add(job->recipe, &item, err);
}

tt_status tt_hf_note_recast(struct tt_recipe *recipe, struct tt_err *err)
{
    tt_status st = TT_OK;

    for (size_t i = 0; st == TT_OK && i < recipe->n; i++) {
        const struct tt_output *o = &recipe->items[i].output;
        bool recast = false;
        for (size_t j = 0; recipe->items[i].kind == TT_ENTRY_TENSOR && j < o->nparts; j++)
            recast = recast || (o->parts[j].src && o->parts[j].src->dtype != o->dtype);
        if (recast)
            st = tt_recipe_note(recipe, &recipe->recast, recipe->items[i].fqn, err);
    }
    return st;
}
