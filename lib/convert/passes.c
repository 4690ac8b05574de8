#include "convert/passes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- names -------------------------------------------------------------------------------------------------------------------- */

void tt_recipe_item_set_fqn(struct tt_recipe_item *item, const char *fqn)
{
    item->fqn = fqn;
    if (item->kind == TT_ENTRY_TENSOR)
        item->output.fqn = fqn;
}

tt_status tt_recipe_add_prefix(struct tt_recipe *recipe, const char *prefix, struct tt_err *err)
{
    struct tt_arena *arena = &recipe->arena;

    for (size_t i = 0; i < recipe->n; i++) {
        struct tt_recipe_item *item = &recipe->items[i];
        struct tt_path_part *path = tt_arena_array(arena, item->npath, sizeof *path);
        const char *fqn = tt_arena_printf(arena, "%s%s", prefix, item->fqn);
        if (!path || !fqn)
            return tt_err_nomem(err, strlen(prefix), item->fqn);
        if (item->npath) {
            memcpy(path, item->path, item->npath * sizeof *path);
            path[0].key = path[0].key ? tt_arena_printf(arena, "%s%s", prefix, path[0].key)
                                      : tt_arena_printf(arena, "%s%" PRId64, prefix, path[0].index);
            if (!path[0].key)
                return tt_err_nomem(err, strlen(prefix), item->fqn);
        }
        item->path = path;
        tt_recipe_item_set_fqn(item, fqn);
    }
    return tt_recipe_reindex(recipe, err);
}

/* A path without the prefix: how many whole parts go, and how many bytes of the part after them. False: it does not start so, or
 * nothing would be left. */
static bool covers(const char *prefix, const struct tt_path_part *path, uint32_t npath, uint32_t *nparts, size_t *nbytes)
{
    for (uint32_t i = 0; i < npath; i++) {
        char digits[32];
        const char *text = path[i].key ? path[i].key : digits;
        snprintf(digits, sizeof digits, "%" PRId64, path[i].index);
        const size_t n = strlen(text), left = strlen(prefix);
        if (left > n && strncmp(prefix, text, n) == 0 && prefix[n] == '.') {
            prefix += n + 1;
            continue;
        }
        *nparts = i;
        *nbytes = left;
        return left == 0 || (path[i].key && left < n && strncmp(text, prefix, left) == 0);
    }
    return false;
}

/* The item without the prefix, where it has it. The outermost part of a path is a key of a dict, never a list position. */
static tt_status strip(struct tt_recipe *recipe, struct tt_recipe_item *item, const char *prefix, size_t *nstripped,
                       struct tt_err *err)
{
    const struct tt_path_part flat = { .key = item->fqn };
    const struct tt_path_part *old = item->npath ? item->path : &flat;
    const uint32_t nold = item->npath ? item->npath : 1;
    uint32_t nparts = 0;
    size_t nbytes = 0;

    if (strncmp(item->fqn, prefix, strlen(prefix)) != 0 || !covers(prefix, old, nold, &nparts, &nbytes))
        return TT_OK;
    struct tt_path_part *path = tt_arena_array(&recipe->arena, nold - nparts, sizeof *path);
    if (!path)
        return tt_err_nomem(err, (nold - nparts) * sizeof *path, item->fqn);
    memcpy(path, old + nparts, (nold - nparts) * sizeof *path);
    path[0].key = path[0].key ? path[0].key + nbytes : tt_arena_printf(&recipe->arena, "%" PRId64, path[0].index);
    if (!path[0].key)
        return tt_err_nomem(err, 32, item->fqn);
    item->path = item->npath ? path : NULL;
    item->npath = item->npath ? nold - nparts : 0;
    tt_recipe_item_set_fqn(item, item->fqn + strlen(prefix));
    ++*nstripped;
    return TT_OK;
}

tt_status tt_recipe_strip_prefix(struct tt_recipe *recipe, const char *prefix, struct tt_err *err)
{
    size_t nstripped = 0;
    tt_status st = TT_OK;

    for (size_t i = 0; i < recipe->n && st == TT_OK; i++)
        st = strip(recipe, &recipe->items[i], prefix, &nstripped, err);
    if (st == TT_OK && nstripped == 0)
        return tt_err_set(err, TT_EINVAL, "no key starts with the prefix '%s'", prefix);
    return st == TT_OK ? tt_recipe_reindex(recipe, err) : st;
}

void tt_recipe_flatten(struct tt_recipe *recipe)
{
    for (size_t i = 0; i < recipe->n; i++) {
        recipe->items[i].path = NULL;
        recipe->items[i].npath = 0;
    }
}

/* --- what a format can hold --------------------------------------------------------------------------------------------------- */

tt_status tt_recipe_keep_safetensors(struct tt_recipe *recipe, struct tt_err *err)
{
    size_t kept = 0;
    tt_status st = TT_OK;

    for (size_t i = 0; i < recipe->n && st == TT_OK; i++) {
        const struct tt_recipe_item *item = &recipe->items[i];
        if (strcmp(item->fqn, "__metadata__") == 0)
            return tt_err_set(err, TT_EINVAL,
                              "key __metadata__: a .safetensors file has this name for its own; --prefix changes it");
        if (item->kind == TT_ENTRY_TENSOR && tt_dtypes[item->output.dtype].safetensors)
            recipe->items[kept++] = *item;
        else
            st = tt_recipe_note(recipe, &recipe->unused, item->fqn, err);
    }
    if (st != TT_OK)
        return st;
    recipe->n = kept;
    return tt_recipe_reindex(recipe, err);
}
