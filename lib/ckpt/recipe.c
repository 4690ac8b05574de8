#include "ckpt/recipe.h"

#include <stdlib.h>
#include <string.h>

struct tt_output tt_output_identity(const struct tt_entry *src, struct tt_part *part)
{
    *part = (struct tt_part){ .src = src };
    return (struct tt_output){
        .fqn = src->fqn, .dtype = src->dtype, .ndim = src->ndim, .shape = src->shape, .parts = part, .nparts = 1,
    };
}

bool tt_part_is_plain(const struct tt_output *o, const struct tt_part *p)
{
    return p->src && p->quant == TT_QUANT_NONE && p->map == TT_MAP_SAME && p->src->ndim == o->ndim;
}

struct tt_region tt_part_source(const struct tt_part *p, const struct tt_region *region)
{
    struct tt_region r = *region;

    for (int d = 0; d < r.ndim; d++)
        r.offset[d] += (p->from ? p->from[d] : 0) - (p->to ? p->to[d] : 0);
    return r;
}

struct tt_region tt_output_box_region(const struct tt_output_box *box)
{
    const struct tt_output *o = box->output;
    return tt_region_make(o->ndim, box->offsets, box->sizes ? box->sizes : o->shape);
}

void tt_recipe_release(struct tt_recipe *recipe)
{
    if (!recipe)
        return;
    free(recipe->items);
    free(recipe->missing.items);
    free(recipe->unused.items);
    free(recipe->reshaped.items);
    free(recipe->recast.items);
    tt_map_release(&recipe->by_fqn);
    tt_arena_release(&recipe->arena);
    *recipe = (struct tt_recipe){ 0 };
}

/* Room for one more of `size` bytes; *items may move. */
static tt_status grow(void **items, size_t n, size_t *cap, size_t size, struct tt_err *err)
{
    if (n < *cap)
        return TT_OK;
    const size_t bigger = *cap ? *cap * 2 : 64;
    void *p = realloc(*items, bigger * size);
    if (!p)
        return tt_err_nomem(err, bigger * size, "a recipe");
    *items = p;
    *cap = bigger;
    return TT_OK;
}

static tt_status index_item(struct tt_recipe *recipe, size_t i, const char *fqn, struct tt_err *err)
{
    bool added = false;
    const tt_status st = tt_map_put(&recipe->by_fqn, fqn, strlen(fqn), i, &added, NULL, err);

    if (st == TT_OK && !added)
        return tt_err_set(err, TT_EINVAL, "key %s: two keys of the output would have this name", fqn);
    return st;
}

tt_status tt_recipe_add(struct tt_recipe *recipe, const struct tt_recipe_item *item, struct tt_err *err)
{
    void *items = recipe->items;
    tt_status st = grow(&items, recipe->n, &recipe->cap, sizeof *recipe->items, err);

    recipe->items = items;
    if (st == TT_OK)
        st = index_item(recipe, recipe->n, item->fqn, err);
    if (st == TT_OK)
        recipe->items[recipe->n++] = *item;
    return st;
}

tt_status tt_recipe_reindex(struct tt_recipe *recipe, struct tt_err *err)
{
    tt_status st = TT_OK;

    tt_map_release(&recipe->by_fqn);
    for (size_t i = 0; i < recipe->n && st == TT_OK; i++)
        st = index_item(recipe, i, recipe->items[i].fqn, err);
    return st;
}

tt_status tt_recipe_add_entry(struct tt_recipe *recipe, struct tt_ckpt *ckpt, const struct tt_entry *entry, struct tt_err *err)
{
    struct tt_recipe_item item = {
        .fqn = entry->fqn, .path = entry->path, .npath = entry->npath, .kind = entry->kind, .requires_grad = entry->requires_grad
    };

    if (entry->kind == TT_ENTRY_VALUE) {
        item.ckpt = ckpt;
        item.entry = entry;
    } else {
        struct tt_part *part = tt_arena_alloc(&recipe->arena, sizeof *part);
        if (!part)
            return tt_err_nomem(err, sizeof *part, entry->fqn);
        item.output = tt_output_identity(entry, part);
        part->ckpt = ckpt;
    }
    return tt_recipe_add(recipe, &item, err);
}

struct tt_recipe_item *tt_recipe_find(const struct tt_recipe *recipe, const char *fqn)
{
    uint64_t i;
    return tt_map_get(&recipe->by_fqn, fqn, strlen(fqn), &i) ? &recipe->items[i] : NULL;
}

tt_status tt_recipe_note(struct tt_recipe *recipe, struct tt_names *names, const char *fqn, struct tt_err *err)
{
    void *items = names->items;
    const char *copy = tt_arena_str(&recipe->arena, fqn);
    tt_status st = copy ? grow(&items, names->n, &names->cap, sizeof *names->items, err) : tt_err_nomem(err, strlen(fqn), "a key");

    names->items = items;
    if (st == TT_OK)
        names->items[names->n++] = copy;
    return st;
}
