#include "convert/position.h"

#include <inttypes.h>
#include <string.h>

#include "ckpt/keys.h"
#include "format/pickle_value.h"

enum { DEGREE_MAX = 1 << 20 };

/* Where one reader of samples is. */
struct place {
    int64_t sample_idx;
    const struct tt_value *data;   /* of a streamed dataset, in the place of sample_idx; NULL: a map-style one */
    const struct tt_value *buffer; /* a list of ints */
};

/* What one data-parallel rank had taken. */
struct taken {
    const struct tt_value *pickle; /* the bytes of its entry */
    struct place *places;          /* (n) one; or one a worker, where each reads files of its own */
    int64_t n;
};

static bool is_fresh(const struct taken *t)
{
    return t->n == 1 && !t->places->data && t->places->sample_idx == 0 && t->places->buffer->u.list.n == 0;
}

/* --- reading ------------------------------------------------------------------------------------------------------------------ */

static const struct tt_value *worker_state(const struct tt_value *state, int64_t worker, struct tt_arena *arena)
{
    const char *name = tt_arena_printf(arena, "worker_%" PRId64, worker);
    return name ? tt_value_at(state, "_snapshot", "_worker_snapshots", name, NULL) : NULL;
}

/* Workers of a map-style dataset read the same samples, of which the first has taken as many as any. */
static int64_t count_places(const struct tt_value *state)
{
    const struct tt_value *n = tt_value_at(state, "_snapshot", "_main_snapshot", "_num_workers", NULL);
    const struct tt_value *workers = tt_value_at(state, "_snapshot", "_worker_snapshots", NULL);
    const bool streamed = tt_value_at(workers, "worker_0", "dataset_state", "data", NULL) != NULL;
    if (!streamed || !n || n->kind != TT_V_INT)
        return 1;
    return n->u.i >= 1 && workers->kind == TT_V_MAP && (uint64_t)n->u.i <= workers->u.map.n ? n->u.i : 0;
}

bool tt_position_is_divided(const struct tt_value *state) { return count_places(state) > 1; }

static bool read_place(struct place *out, const struct tt_value *dataset)
{
    const struct tt_value *idx = tt_value_get(dataset, "sample_idx");
    out->data = tt_value_get(dataset, "data");
    out->buffer = tt_value_get(dataset, "token_buffer");
    const bool counted = idx && idx->kind == TT_V_INT && idx->u.i >= 0;
    const bool streamed = out->data && (out->data->kind == TT_V_MAP || out->data->kind == TT_V_NULL);
    bool ok = counted != streamed && out->buffer && out->buffer->kind == TT_V_LIST;
    for (size_t i = 0; ok && i < out->buffer->u.list.n; i++)
        ok = out->buffer->u.list.items[i]->kind == TT_V_INT;
    if (ok && counted)
        out->sample_idx = idx->u.i;
    return ok;
}

/* *ok false: a position of another form. */
static tt_status take_state(struct taken *out, bool *ok, const struct tt_value *state, struct tt_arena *arena, struct tt_err *err)
{
    out->n = count_places(state);
    out->places = tt_arena_array(arena, (size_t)out->n + 1, sizeof *out->places);
    if (!out->places)
        return tt_err_nomem(err, (size_t)out->n * sizeof *out->places, "the position in the data");
    *ok = out->n > 0;
    for (int64_t w = 0; w < out->n && *ok; w++) {
        const struct tt_value *worker = worker_state(state, w, arena);
        *ok = read_place(&out->places[w], tt_value_get(worker || out->n > 1 ? worker : state, "dataset_state")) &&
              !out->places[w].data == !out->places[0].data;
    }
    return TT_OK;
}

/* Reads what rank r had; *ok false: there is nothing, or a position of another form. */
static tt_status read_rank(struct taken *out, bool *ok, struct tt_ckpt *ckpt, int64_t r, struct tt_arena *arena, struct tt_err *err)
{
    const struct tt_value *state = NULL;
    const char *fqn = tt_arena_printf(arena, "dataloader.dp_rank_%" PRId64, r);

    *ok = false;
    if (!fqn)
        return tt_err_nomem(err, 32, "a key");
    if (!tt_entries_find(&ckpt->entries, fqn))
        return TT_OK;
    tt_status st = tt_ckpt_value(ckpt, fqn, &out->pickle, err);
    if (st != TT_OK || out->pickle->kind != TT_V_BYTES)
        return st;
    st = tt_pickle_to_value(arena, out->pickle->u.str.s, out->pickle->u.str.nbytes, fqn, &state, err);
    return st == TT_OK ? take_state(out, ok, state, arena, err) : st;
}

tt_status tt_position_degree(int64_t *out, struct tt_ckpt *ckpt, struct tt_err *err)
{
    static const char key[] = "dataloader.world_size";
    const struct tt_value *v;

    *out = 0;
    if (!tt_entries_find(&ckpt->entries, key))
        return TT_OK;
    const tt_status st = tt_ckpt_value(ckpt, key, &v, err);
    if (st != TT_OK)
        return st;
    if (v->kind != TT_V_INT)
        return tt_err_set(err, TT_EFORMAT, "%s: %s: expected a number of ranks, found %s", ckpt->path, key,
                          tt_value_kind_name(v->kind));
    if (v->u.i < 1 || v->u.i > DEGREE_MAX)
        return tt_err_set(err, TT_EFORMAT, "%s: %s: expected 1 to %d ranks, found %" PRId64, ckpt->path, key, DEGREE_MAX, v->u.i);
    *out = v->u.i;
    return TT_OK;
}

/* --- writing ------------------------------------------------------------------------------------------------------------------ */

static tt_status add_value(struct tt_recipe *recipe, const char *name, const struct tt_value *value, struct tt_err *err)
{
    struct tt_arena *a = &recipe->arena;
    struct tt_path_part *path = tt_arena_array(a, 2, sizeof *path);
    const char *fqn = name ? tt_arena_printf(a, "dataloader.%s", name) : NULL;

    if (!path || !fqn || !value)
        return tt_err_nomem(err, 64, "the position in the data");
    path[0].key = "dataloader";
    path[1].key = name;
    const struct tt_recipe_item item = { .fqn = fqn, .path = path, .npath = 2, .kind = TT_ENTRY_VALUE, .value = value };
    return tt_recipe_add(recipe, &item, err);
}

/* The same state for each of the new ranks. */
static tt_status add_torchtitan(struct tt_recipe *recipe, const struct tt_value *state, int64_t degree, struct tt_err *err)
{
    struct tt_arena *a = &recipe->arena;
    tt_status st = TT_OK;
    for (int64_t r = 0; r < degree && st == TT_OK; r++)
        st = add_value(recipe, tt_arena_printf(a, "dp_rank_%" PRId64, r), state, err);
    return st == TT_OK ? add_value(recipe, "world_size", tt_value_int(a, degree), err) : st;
}

static struct tt_value *stream_value(struct tt_arena *a, int64_t part, int64_t parts, const struct taken *t, int64_t worker)
{
    struct tt_value *stream = tt_value_map(a), *buffer = tt_value_list(a);
    const struct place *p = &t->places[worker];
    for (size_t i = 0; buffer && i < p->buffer->u.list.n; i++)
        if (!tt_value_append(a, buffer, tt_value_int(a, p->buffer->u.list.items[i]->u.i)))
            buffer = NULL;
    bool ok = tt_value_set(a, stream, "part", tt_value_int(a, part)) && tt_value_set(a, stream, "parts", tt_value_int(a, parts));
    if (t->n > 1)
        ok = ok && tt_value_set(a, stream, "worker", tt_value_int(a, worker)) &&
             tt_value_set(a, stream, "workers", tt_value_int(a, t->n));
    if (p->data)
        ok = ok && tt_value_set(a, stream, "data", tt_value_copy(a, p->data)) &&
             tt_value_set(a, stream, "skip", tt_value_int(a, 0)) && tt_value_set(a, stream, "stride", tt_value_int(a, 1));
    else
        ok = ok && tt_value_set(a, stream, "sample_idx", tt_value_int(a, p->sample_idx)) &&
             tt_value_set(a, stream, "end", tt_value_null(a));
    return ok && tt_value_set(a, stream, "token_buffer", buffer) ? stream : NULL;
}

static struct tt_value *streams_value(struct tt_arena *a, const struct taken *taken, int64_t rank, int64_t n)
{
    struct tt_value *streams = tt_value_list(a);
    for (int64_t w = 0; w < taken->n && streams; w++)
        if (!tt_value_append(a, streams, stream_value(a, rank, n, taken, w)))
            streams = NULL;
    return streams;
}

static struct tt_value *root_value(struct tt_arena *a, struct tt_value *ranks)
{
    struct tt_value *root = tt_value_map(a);
    return tt_value_set(a, root, "version", tt_value_int(a, 1)) && tt_value_set(a, root, "ranks", ranks) ? root : NULL;
}

static struct tt_value *titan_value(struct tt_arena *a, const struct taken *taken, int64_t n)
{
    struct tt_value *ranks = tt_value_list(a);
    bool ok = ranks;
    for (int64_t r = 0; r < n && ok; r++)
        ok = tt_value_append(a, ranks, streams_value(a, &taken[r], r, n));
    return ok ? root_value(a, ranks) : NULL;
}

/* Reads all n ranks; *ok false: it cannot be given to other ranks. */
static tt_status read_ranks(struct taken *taken, int64_t n, bool *ok, struct tt_ckpt *ckpt, struct tt_arena *arena, struct tt_err *err)
{
    tt_status st = TT_OK;
    *ok = true;
    for (int64_t r = 0; r < n && st == TT_OK && *ok; r++) {
        st = read_rank(&taken[r], ok, ckpt, r, arena, err);
        *ok = *ok && !taken[r].places->data == !taken[0].places->data;
    }
    return st;
}

tt_status tt_position_convert(enum tt_position *out, struct tt_recipe *recipe, struct tt_ckpt *ckpt, int64_t n, int64_t degree,
                              struct tt_err *err)
{
    struct tt_arena scratch = { 0 };
    struct taken *taken = tt_arena_array(&scratch, (size_t)n, sizeof *taken);
    tt_status st = taken ? TT_OK : tt_err_nomem(err, (size_t)n * sizeof *taken, "the position in the data");
    bool ok = false, others_fresh = true;

    *out = TT_POSITION_NONE;
    if (st == TT_OK)
        st = read_ranks(taken, n, &ok, ckpt, &scratch, err);
    for (int64_t r = 1; r < n && ok; r++)
        others_fresh &= is_fresh(&taken[r]);
    if (st == TT_OK && ok) {
        *out = others_fresh && (degree == 1 || is_fresh(&taken[0])) ? TT_POSITION_EXACT : TT_POSITION_TITAN;
        st = *out == TT_POSITION_EXACT ? add_torchtitan(recipe, taken[0].pickle, degree, err)
                                       : add_value(recipe, "titan_position", titan_value(&recipe->arena, taken, n), err);
    }
    tt_arena_release(&scratch);
    return st;
}

tt_status tt_position_titan(struct tt_value **out, struct tt_arena *arena, struct tt_ckpt *ckpt, int64_t n, struct tt_err *err)
{
    struct tt_arena scratch = { 0 };
    struct taken *taken = tt_arena_array(&scratch, (size_t)n, sizeof *taken);
    tt_status st = taken ? TT_OK : tt_err_nomem(err, (size_t)n * sizeof *taken, "the position in the data");
    bool ok = false;

    *out = NULL;
    if (st == TT_OK)
        st = read_ranks(taken, n, &ok, ckpt, &scratch, err);
    if (st == TT_OK && ok && !(*out = titan_value(arena, taken, n)))
        st = tt_err_nomem(err, 64, "the position in the data");
    tt_arena_release(&scratch);
    return st;
}

tt_status tt_position_streams(struct tt_value **out, struct tt_arena *arena, const struct tt_value *state, int64_t rank, int64_t n,
                              struct tt_err *err)
{
    struct tt_arena scratch = { 0 };
    struct taken taken = { 0 };
    bool ok = false;

    *out = NULL;
    tt_status st = take_state(&taken, &ok, state, &scratch, err);
    if (st == TT_OK && ok && !(*out = streams_value(arena, &taken, rank, n)))
        st = tt_err_nomem(err, 64, "the position in the data");
    tt_arena_release(&scratch);
    return st;
}

tt_status tt_position_of_streams(struct tt_value **out, struct tt_arena *arena, struct tt_value *const *streams, int64_t n,
                                 struct tt_err *err)
{
    struct tt_value *ranks = tt_value_list(arena);
    for (int64_t r = 0; r < n && ranks; r++)
        if (!tt_value_append(arena, ranks, streams[r]))
            ranks = NULL;
    *out = ranks ? root_value(arena, ranks) : NULL;
    return *out ? TT_OK : tt_err_nomem(err, 64, "the position in the data");
}
