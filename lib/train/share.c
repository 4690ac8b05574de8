#include "train/share.h"

#include <stdlib.h>
#include <string.h>

#include "ckpt/keys.h"
#include "convert/place.h"
#include "convert/position.h"
#include "format/pickle_value.h"

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

/* --- the position in the data --------------------------------------------------------------------------------------------------- */

/* A rank that is through what was left reads data of its own again, which is a stream like any other. */
static tt_status own_streams(struct tt_value **out, const struct tt_train_state *state, struct tt_value *rest, struct tt_arena *arena,
                             struct tt_err *err)
{
    struct tt_value *position;
    *out = rest;
    if (rest)
        return TT_OK;
    tt_status st = tt_loader_state(state->loader, arena, &position, err);
    if (st == TT_OK)
        st = tt_position_streams(out, arena, position, state->dp_rank, state->dp_world, err);
    if (st == TT_OK && !*out)
        st = tt_err_set(err, TT_EUNSUPPORTED, "the position in the data is not of a form that goes with that of other ranks");
    return st;
}

/* On rank 0 of all ranks' streams, of which one of each data-parallel rank counts. */
static tt_status join(struct tt_train_state *state, const struct tt_ranks *ranks, const struct tt_buf *parts, struct tt_arena *arena,
                      struct tt_err *err)
{
    struct tt_value **streams = tt_arena_array(arena, (size_t)state->dp_world, sizeof *streams);
    struct tt_value *position;
    tt_status st = streams ? TT_OK : tt_err_nomem(err, (size_t)state->dp_world * sizeof *streams, "the position in the data");

    for (int i = 0; i < state->dp_world && st == TT_OK; i++) {
        const struct tt_buf *part = &parts[tt_mesh_peer(&ranks->mesh, TT_MESH_BATCH, i)];
        const struct tt_value *v;
        st = tt_pickle_to_value(arena, part->data, part->len, "the position in the data", &v, err);
        if (st == TT_OK && !(streams[i] = tt_value_copy(arena, v)))
            st = tt_err_nomem(err, part->len, "the position in the data");
    }
    if (st == TT_OK)
        st = tt_position_of_streams(&position, arena, streams, state->dp_world, err);
    if (st == TT_OK)
        state->position = position;
    return st;
}

static tt_status gather_streams(struct tt_train_state *state, const struct tt_ranks *ranks, struct tt_value *rest,
                                struct tt_arena *arena, struct tt_err *err)
{
    const size_t n = (size_t)ranks->world->size;
    struct tt_buf mine = { 0 }, *parts = calloc(n, sizeof *parts);
    struct tt_value *streams = NULL;
    tt_status st = parts ? own_streams(&streams, state, rest, arena, err) : tt_err_nomem(err, n * sizeof *parts, "positions");

    if (st == TT_OK)
        st = tt_pickle_from_value(&mine, streams, err);
    if (st == TT_OK)
        st = tt_buf_check(&mine, "the position in the data", err);
    st = tt_ranks_agree(ranks, st, err);
    if (st == TT_OK)
        st = tt_ranks_gather(ranks, mine.data, mine.len, parts, err);
    if (st == TT_OK && tt_ranks_is_first(ranks))
        st = join(state, ranks, parts, arena, err);
    for (size_t i = 0; parts && i < n; i++)
        tt_buf_release(&parts[i]);
    free(parts);
    tt_buf_release(&mine);
    return tt_ranks_agree(ranks, st, err);
}

static tt_status one_rank(struct tt_train_state *state, struct tt_value *rest, struct tt_arena *arena, struct tt_err *err)
{
    struct tt_value *position;
    state->one_position = rest != NULL;
    const tt_status st = rest ? tt_position_of_streams(&position, arena, &rest, 1, err) : TT_OK;
    if (st == TT_OK && rest)
        state->position = position;
    return st;
}

tt_status tt_share_position(struct tt_train_state *state, const struct tt_ranks *ranks, struct tt_arena *arena, struct tt_err *err)
{
    struct tt_value *rest = NULL;
    tt_status st = state->loader ? tt_loader_rest(state->loader, arena, &rest, err) : TT_OK;

    if (!ranks)
        return st == TT_OK ? one_rank(state, rest, arena, err) : st;
    int64_t any = rest != NULL;
    st = tt_ranks_agree(ranks, st, err);
    if (st == TT_OK)
        st = tt_ranks_sum(ranks, &any, 1, err);
    state->one_position = any > 0;
    return st == TT_OK && any > 0 ? gather_streams(state, ranks, rest, arena, err) : st;
}
