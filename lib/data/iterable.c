#include "data/iterable.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "data/fields.h"
#include "data/files.h"
#include "data/samples.h"
#include "data/shuffle.h"

enum { TABLE_BYTES = 10 << 20 };

/* A place at the end of a table, or, without tables, of a sample. */
struct base {
    int64_t shard, example; /* file of this rank's; samples of it */
    int64_t stepped;        /* samples before it in this pass, mod world, where they are taken by turns */
};

/* What `datasets` keeps. */
struct position {
    int64_t epoch;
    struct base base;     /* behind the table that is being read */
    struct base previous; /* from which chunks are counted */
    bool has_previous;
    int64_t nchunks, nbatches;
};

struct tt_iterable {
    struct tt_arena arena;
    struct tt_data_files files;
    struct tt_iterable_part part;
    bool typed;             /* read in tables */
    size_t *order, nshards; /* (files.n); files of this part */

    struct position pos;
    bool started;
    struct base before; /* the place before the table that is being read */
    int64_t left;       /* samples of that table not yet read */
    int64_t phase;      /* samples to pass over before this rank's next, where they are taken by turns */
    int64_t row;        /* this rank's samples of the table so far */
    int64_t seen;       /* chunks since pos.previous */
    bool pending;       /* a sample was given: pos counts from `before` on once the next is asked for */

    struct tt_samples *samples; /* of file pos.base.shard; NULL: not open */
    struct tt_buf text;
};

/* --- opening ----------------------------------------------------------------------------------------------------------------- */

static bool by_turns(const struct tt_iterable *it) { return it->files.n % (size_t)it->part.world != 0; }

static void take_shards(struct tt_iterable *it)
{
    for (size_t i = 0; i < it->files.n; i++)
        it->order[i] = i;
    if (it->pos.epoch > 0)
        tt_shuffle(it->order, it->files.n, (uint64_t)it->pos.epoch);
    const size_t n = by_turns(it) ? it->files.n : it->files.n / (size_t)it->part.world, worker = (size_t)it->part.worker;
    const size_t workers = (size_t)it->part.workers;
    it->nshards = n > worker ? (n - worker + workers - 1) / workers : 0;
}

static const char *shard_path(const struct tt_iterable *it, int64_t shard)
{
    const size_t i = (size_t)(shard * it->part.workers + it->part.worker);
    return it->files.paths[it->order[by_turns(it) ? i : i * (size_t)it->part.world + (size_t)it->part.rank]];
}

/* The columns are taken from the first table that there is, which must not be an array. */
static tt_status look_at_first(struct tt_iterable *it, struct tt_err *err)
{
    struct tt_samples *first;
    it->typed = true;
    if (it->files.has_features)
        return TT_OK;
    const tt_status st = tt_samples_open(&first, it->files.first, err);
    if (st != TT_OK)
        return st;
    it->typed = !tt_samples_is_array(first);
    tt_samples_close(first);
    return TT_OK;
}

static void rewind_to(struct tt_iterable *it, const struct position *pos)
{
    tt_samples_close(it->samples);
    it->samples = NULL;
    it->pos = *pos;
    it->started = it->pending = false;
    it->left = it->phase = it->row = it->seen = 0;
    take_shards(it);
}

tt_status tt_iterable_open(struct tt_iterable **out, const char *path, const char *config, const char *split,
                           struct tt_iterable_part part, struct tt_err *err)
{
    struct tt_iterable *it = calloc(1, sizeof *it);
    if (!it)
        return tt_err_nomem(err, sizeof *it, "a streamed dataset");
    it->part = part;
    tt_status st = tt_data_files(&it->files, &it->arena, path, config, split, err);
    if (st == TT_OK && !(it->order = tt_arena_array(&it->arena, it->files.n, sizeof *it->order)))
        st = tt_err_nomem(err, it->files.n * sizeof *it->order, "the order of files");
    if (st == TT_OK)
        st = look_at_first(it, err);
    if (st != TT_OK) {
        tt_iterable_free(it);
        return st;
    }
    rewind_to(it, &(struct position){ 0 });
    *out = it;
    return TT_OK;
}

void tt_iterable_free(struct tt_iterable *it)
{
    if (!it)
        return;
    tt_samples_close(it->samples);
    tt_buf_release(&it->text);
    tt_arena_release(&it->arena);
    free(it);
}

void tt_iterable_restart(struct tt_iterable *it) { rewind_to(it, &(struct position){ .epoch = it->pos.epoch }); }

void tt_iterable_next_epoch(struct tt_iterable *it) { rewind_to(it, &(struct position){ .epoch = it->pos.epoch + 1 }); }

void tt_iterable_end(struct tt_iterable *it, int64_t epoch)
{
    rewind_to(it, &(struct position){ .epoch = epoch, .base.shard = (int64_t)it->nshards });
}

/* --- reading ----------------------------------------------------------------------------------------------------------------- */

static tt_status open_shard(struct tt_iterable *it, struct tt_err *err)
{
    tt_samples_close(it->samples);
    it->samples = NULL;
    return tt_samples_open(&it->samples, shard_path(it, it->pos.base.shard), err);
}

static void close_shard(struct tt_iterable *it)
{
    tt_samples_close(it->samples);
    it->samples = NULL;
    it->pos.base.shard++;
    it->pos.base.example = 0;
}

/* Passes over n samples of the open file. */
static tt_status pass_over(struct tt_iterable *it, int64_t n, const char *what, struct tt_err *err)
{
    for (; n > 0; n--) {
        const char *json;
        size_t nbytes;
        const tt_status st = tt_samples_next(it->samples, &json, &nbytes, err);
        if (st != TT_OK)
            return st;
        if (!json)
            return tt_err_set(err, TT_EFORMAT, "%s: %s has fewer samples than that", what, shard_path(it, it->pos.base.shard));
    }
    return TT_OK;
}

/* The next table that has a sample; *more false: there is none. */
static tt_status next_table(struct tt_iterable *it, bool *more, struct tt_err *err)
{
    struct base *base = &it->pos.base;
    tt_status st = TT_OK;
    *more = false;
    while (st == TT_OK && base->shard < (int64_t)it->nshards) {
        if (!it->samples)
            st = open_shard(it, err);
        if (st == TT_OK)
            st = tt_samples_ahead(it->samples, TABLE_BYTES, &it->left, err);
        if (st != TT_OK)
            return st;
        if (it->left > 0) {
            it->phase = by_turns(it) ? (it->part.rank - base->stepped + it->part.world) % it->part.world : 0;
            base->example += it->left;
            base->stepped = by_turns(it) ? (base->stepped + it->left) % it->part.world : 0;
            it->row = 0;
            *more = true;
            return TT_OK;
        }
        close_shard(it);
    }
    return st;
}

/* The next sample of any rank's. *json NULL: there is none. */
static tt_status next_raw(struct tt_iterable *it, const char **json, size_t *n, struct tt_err *err)
{
    tt_status st = tt_samples_next(it->samples, json, n, err);
    if (st == TT_OK && !*json)
        st = tt_err_set(err, TT_EFORMAT, "%s: is shorter than it was", shard_path(it, it->pos.base.shard));
    it->left--;
    return st;
}

/* To this rank's next sample in tables: *json, or NULL at the end. */
static tt_status next_chunk(struct tt_iterable *it, const char **json, size_t *n, struct tt_err *err)
{
    bool more = true;
    for (;;) {
        while (it->left == 0) {
            it->before = it->pos.base;
            const tt_status st = next_table(it, &more, err);
            *json = NULL;
            if (st != TT_OK || !more)
                return st;
        }
        const tt_status st = next_raw(it, json, n, err);
        if (st != TT_OK)
            return st;
        if (it->phase-- == 0) {
            it->phase = by_turns(it) ? it->part.world - 1 : 0;
            it->row++;
            it->seen++;
            return TT_OK;
        }
    }
}

/* Without tables: the next sample of any rank's, file by file. */
static tt_status next_counted(struct tt_iterable *it, const char **json, size_t *n, struct tt_err *err)
{
    tt_status st = TT_OK;
    *json = NULL;
    while (st == TT_OK && it->pos.base.shard < (int64_t)it->nshards) {
        if (!it->samples)
            st = open_shard(it, err);
        if (st == TT_OK)
            st = tt_samples_next(it->samples, json, n, err);
        if (st != TT_OK)
            return st;
        if (*json) {
            it->pos.base.example++;
            return TT_OK;
        }
        close_shard(it);
    }
    return st;
}

static tt_status take_text(struct tt_iterable *it, const char *json, size_t n, struct tt_err *err)
{
    return tt_samples_text(&it->text, it->samples, json, n, err);
}

static tt_status next_typed(struct tt_iterable *it, bool *got, struct tt_err *err)
{
    const char *json;
    size_t n;
    struct position *pos = &it->pos;
    if (!it->started) {
        pos->previous = it->before = pos->base;
        pos->has_previous = it->started = true;
    }
    if (it->pending) {
        pos->previous = it->before;
        pos->nchunks = it->seen = it->row;
        it->pending = false;
    }
    tt_status st = next_chunk(it, &json, &n, err);
    *got = st == TT_OK && json;
    if (!*got)
        return st;
    st = take_text(it, json, n, err);
    pos->nbatches++;
    pos->nchunks = it->seen;
    it->pending = true;
    return st;
}

/* By turns, all samples of a turn are read before this rank's is given. */
static tt_status next_untyped(struct tt_iterable *it, bool *got, struct tt_err *err)
{
    const int64_t turn = by_turns(it) ? it->part.world : 1, mine = by_turns(it) ? it->part.rank : 0;
    tt_status st = TT_OK;
    *got = false;
    for (int64_t i = 0; i < turn && st == TT_OK; i++) {
        const char *json;
        size_t n;
        st = next_counted(it, &json, &n, err);
        if (st != TT_OK || !json)
            return st;
        if (i == mine) {
            st = take_text(it, json, n, err);
            *got = st == TT_OK;
        }
    }
    return st;
}

tt_status tt_iterable_next(struct tt_iterable *it, const char **sample, size_t *nbytes, struct tt_err *err)
{
    bool got;
    const tt_status st = it->typed ? next_typed(it, &got, err) : next_untyped(it, &got, err);
    *sample = st == TT_OK && got ? (const char *)it->text.data : NULL;
    *nbytes = *sample ? it->text.len : 0;
    return st;
}

/* --- the position ------------------------------------------------------------------------------------------------------------ */

static struct tt_value *base_value(const struct tt_iterable *it, const struct base *base, struct tt_arena *a)
{
    struct tt_value *v = tt_value_map(a), *step = tt_value_map(a);
    bool ok = tt_value_set(a, v, "shard_idx", tt_value_int(a, base->shard)) &&
              tt_value_set(a, v, "shard_example_idx", tt_value_int(a, base->example)) &&
              tt_value_set(a, v, "type", tt_value_str(a, "ArrowExamplesIterable"));
    if (!by_turns(it))
        return ok ? v : NULL;
    ok = ok && tt_value_set(a, step, "examples_iterable", v) && tt_value_set(a, step, "stepped", tt_value_int(a, base->stepped)) &&
         tt_value_set(a, step, "type", tt_value_str(a, "StepExamplesIterable"));
    return ok ? step : NULL;
}

struct tt_value *tt_iterable_state(const struct tt_iterable *it, struct tt_arena *a)
{
    const struct position *pos = &it->pos;
    struct tt_value *root = tt_value_map(a), *batched = tt_value_map(a);
    const bool ok =
        tt_value_set(a, batched, "examples_iterable", base_value(it, &pos->base, a)) &&
        tt_value_set(a, batched, "previous_state", pos->has_previous ? base_value(it, &pos->previous, a) : tt_value_null(a)) &&
        tt_value_set(a, batched, "batch_idx", tt_value_int(a, pos->nbatches)) &&
        tt_value_set(a, batched, "num_chunks_since_previous_state", tt_value_int(a, pos->nchunks)) &&
        tt_value_set(a, batched, "cropped_chunk_length", tt_value_int(a, 0)) &&
        tt_value_set(a, batched, "type", tt_value_str(a, "RebatchedArrowExamplesIterable")) &&
        tt_value_set(a, root, "examples_iterable", batched) && tt_value_set(a, root, "epoch", tt_value_int(a, pos->epoch));
    return ok ? root : NULL;
}

static tt_status read_base(struct base *out, const struct tt_iterable *it, const struct tt_value *v, const char *what,
                           struct tt_err *err)
{
    const struct tt_value *inner = tt_value_get(v, "examples_iterable");
    *out = (struct base){ 0 };
    if (by_turns(it) != (inner != NULL))
        return tt_err_set(err, TT_EFORMAT,
                          "%s: the position of another number of files or ranks: %zu files, %" PRId64 " ranks take %s", what,
                          it->files.n, it->part.world, by_turns(it) ? "samples by turns" : "files each");
    tt_status st = TT_OK;
    if (inner)
        st = tt_field_count(&out->stepped, v, "stepped", what, err);
    if (st == TT_OK)
        st = tt_field_count(&out->shard, inner ? inner : v, "shard_idx", what, err);
    if (st == TT_OK)
        st = tt_field_count(&out->example, inner ? inner : v, "shard_example_idx", what, err);
    if (st == TT_OK && (out->shard > (int64_t)it->nshards || out->stepped >= it->part.world))
        st = tt_err_set(err, TT_EFORMAT, "%s: shard_idx: expected at most the %zu files of this rank, found %" PRId64, what,
                        it->nshards, out->shard);
    return st;
}

static tt_status read_position(struct position *out, const struct tt_iterable *it, const struct tt_value *state, const char *what,
                               struct tt_err *err)
{
    const struct tt_value *batched = tt_value_get(state, "examples_iterable"), *previous = tt_value_get(batched, "previous_state");
    int64_t cropped;
    *out = (struct position){ 0 };
    tt_status st = tt_field_count(&out->epoch, state, "epoch", what, err);
    if (st == TT_OK)
        st = tt_field_count(&out->nchunks, batched, "num_chunks_since_previous_state", what, err);
    if (st == TT_OK)
        st = tt_field_count(&out->nbatches, batched, "batch_idx", what, err);
    if (st == TT_OK)
        st = tt_field_count(&cropped, batched, "cropped_chunk_length", what, err);
    if (st != TT_OK)
        return st;
    out->has_previous = previous && previous->kind != TT_V_NULL;
    if (cropped != 0)
        return tt_err_set(err, TT_EFORMAT, "%s: cropped_chunk_length: expected 0, found %" PRId64, what, cropped);
    return read_base(&out->base, it, out->has_previous ? previous : tt_value_get(batched, "examples_iterable"), what, err);
}

static tt_status go_to_base(struct tt_iterable *it, const char *what, struct tt_err *err)
{
    struct base *base = &it->pos.base;
    if (base->shard == (int64_t)it->nshards || base->example == 0)
        return TT_OK;
    tt_status st = open_shard(it, err);
    return st == TT_OK ? pass_over(it, base->example, what, err) : st;
}

/* Chunks of this rank's from there on. */
static tt_status go_over_chunks(struct tt_iterable *it, int64_t n, const char *what, struct tt_err *err)
{
    for (; n > 0; n--) {
        const char *json;
        size_t nbytes;
        const tt_status st = next_chunk(it, &json, &nbytes, err);
        if (st != TT_OK)
            return st;
        if (!json)
            return tt_err_set(err, TT_EFORMAT, "%s: num_chunks_since_previous_state: the files have fewer samples than that", what);
    }
    return TT_OK;
}

static tt_status go_to(struct tt_iterable *it, const struct position *pos, const char *what, struct tt_err *err)
{
    rewind_to(it, pos);
    tt_status st = go_to_base(it, what, err);
    if (st == TT_OK && !it->typed && pos->nchunks > 0)
        st = tt_err_set(err, TT_EFORMAT, "%s: previous_state: expected None, as %s is an array", what, it->files.first);
    if (st != TT_OK || !it->typed)
        return st;
    it->pos.previous = it->before = it->pos.base;
    it->pos.has_previous = it->started = true;
    return go_over_chunks(it, pos->nchunks, what, err);
}

tt_status tt_iterable_restore(struct tt_iterable *it, const struct tt_value *state, const char *what, struct tt_err *err)
{
    struct position pos = { 0 };
    tt_status st = TT_OK;
    if (state->kind != TT_V_NULL)
        st = read_position(&pos, it, state, what, err);
    return st == TT_OK ? go_to(it, &pos, what, err) : st;
}
