#include "train/share.h"

#include <stdlib.h>
#include <string.h>

#include "ckpt/keys.h"
#include "convert/place.h"

/* Which of a tensor's shards the rank has; there is one. */
static const struct tt_shard *shard_of(const struct tt_holders *holders, uint32_t rank)
{
    for (uint32_t i = 0; i < holders->shards->n; i++) {
        const struct tt_shard *s = &holders->shards->s[i];
        for (uint32_t r = 0; r < s->nranks; r++)
            for (uint32_t b = 0; b < holders->nbases; b++)
                if (holders->bases[b] + s->ranks[r] == rank)
                    return s;
    }
    return NULL;
}

tt_status tt_share_parts(struct tt_region *part, struct tt_job *job, const struct tt_mesh *mesh, struct tt_err *err)
{
    for (int i = 0; i < job->params.n; i++) {
        const struct tt_param *p = &job->params.p[i];
        struct tt_holders holders;
        const tt_status st = tt_job_find(&holders, job, p->fqn, p->ndim, p->size, err);
        if (st != TT_OK)
            return st;
        const struct tt_shard *s = shard_of(&holders, (uint32_t)mesh->rank);
        part[i] = tt_region_make(p->ndim, s ? s->offsets : p->size, s ? s->sizes : (int64_t[TT_PARAM_NDIM]){ 0 });
    }
    return TT_OK;
}

/* --- a save ----------------------------------------------------------------------------------------------------------------- */

/* An item, and who writes which shard of it; a value has one. */
struct shared {
    struct tt_holders holders;
    struct tt_placed *placed;
};

static bool is_own_position(const struct tt_save_item *item) { return strstr(item->fqn, ".dp_rank_") != NULL; }

static bool writes_position(const struct tt_save_item *item, const struct tt_mesh *mesh)
{
    if (!is_own_position(item))
        return mesh->rank == 0;
    return tt_mesh_coord(mesh, TT_MESH_PP) == 0 && tt_mesh_coord(mesh, TT_MESH_CP) == 0 && tt_mesh_coord(mesh, TT_MESH_TP) == 0;
}

static bool is_of_loader(const struct tt_save_item *item) { return tt_key_of(item->fqn).kind == TT_KEY_DATALOADER; }

static tt_status place_item(struct shared *shared, struct tt_arena *arena, struct tt_balance *b, struct tt_job *job,
                            const struct tt_save_item *item, struct tt_err *err)
{
    tt_status st = item->value ? TT_OK : tt_job_find(&shared->holders, job, item->fqn, item->ndim, item->shape, err);
    if (st != TT_OK)
        return st;
    const size_t n = item->value ? 1 : shared->holders.shards->n;
    shared->placed = tt_arena_array(arena, n, sizeof *shared->placed);
    if (!shared->placed)
        return tt_err_nomem(err, n * sizeof *shared->placed, item->fqn);
    return item->value ? tt_place_anywhere(b, shared->placed, err)
                       : tt_place_shards(b, shared->placed, &shared->holders, item->dtype, item->ndim, err);
}

static bool writes(const struct shared *shared, const struct tt_save_item *item, const struct tt_mesh *mesh)
{
    const uint32_t rank = (uint32_t)mesh->rank;
    if (is_of_loader(item))
        return writes_position(item, mesh);
    if (item->value)
        return shared->placed->file == rank;
    const struct tt_shard *s = shard_of(&shared->holders, rank);
    return s && shared->placed[s - shared->holders.shards->s].file == rank;
}

tt_status tt_share_items(struct tt_save_item *items, size_t *n, struct tt_job *job, const struct tt_mesh *mesh, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_balance balance = { 0 };
    struct shared *shared = tt_arena_array(&arena, *n, sizeof *shared);
    size_t kept = 0;
    tt_status st = shared ? tt_balance_init(&balance, (uint32_t)tt_degrees_nranks(&mesh->degrees), err)
                          : tt_err_nomem(err, *n * sizeof *shared, "who writes what of a checkpoint");

    for (size_t i = 0; i < *n && st == TT_OK; i++)
        if (!is_of_loader(&items[i]))
            st = place_item(&shared[i], &arena, &balance, job, &items[i], err);
    if (st == TT_OK)
        st = tt_balance_decide(&balance, err);
    for (size_t i = 0; i < *n && st == TT_OK; i++)
        if (writes(&shared[i], &items[i], mesh))
            items[kept++] = items[i];
    if (st == TT_OK)
        *n = kept;
    tt_balance_release(&balance);
    tt_arena_release(&arena);
    return st;
}
