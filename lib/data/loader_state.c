#include <inttypes.h>
#include <stdlib.h>

#include "data/fields.h"
#include "data/loader_private.h"

static struct tt_value *buffer_value(const struct tt_loader_pos *pos, struct tt_arena *a)
{
    struct tt_value *list = tt_value_list(a);
    for (size_t i = pos->head; list && i < pos->buffer.n; i++)
        if (!tt_value_append(a, list, tt_value_int(a, pos->buffer.id[i])))
            return NULL;
    return list;
}

tt_status tt_loader_make_state(const struct tt_loader *l, struct tt_arena *a, struct tt_value **out, struct tt_err *err)
{
    const struct tt_loader_pos *pos = &l->pos;
    struct tt_value *root = tt_value_map(a), *sampler = tt_value_map(a), *fetcher = tt_value_map(a), *dataset = tt_value_map(a);
    struct tt_value *place = l->it ? tt_iterable_state(l->it, a) : tt_value_int(a, pos->sample_idx);
    const bool ok = tt_value_set(a, sampler, "samples_yielded", tt_value_int(a, pos->tried * l->opts.local_batch)) &&
                    tt_value_set(a, fetcher, "dataset_iter_state", tt_value_null(a)) &&
                    tt_value_set(a, fetcher, "fetcher_ended", tt_value_bool(a, pos->ended)) &&
                    tt_value_set(a, dataset, "token_buffer", buffer_value(pos, a)) &&
                    tt_value_set(a, dataset, l->it ? "data" : "sample_idx", place) &&
                    tt_value_set(a, root, "_index_sampler_state", tt_value_null(a)) &&
                    tt_value_set(a, root, "_sampler_iter_state", sampler) &&
                    tt_value_set(a, root, "_sampler_iter_yielded", tt_value_int(a, pos->tried)) &&
                    tt_value_set(a, root, "_num_yielded", tt_value_int(a, pos->yielded)) &&
                    tt_value_set(a, root, "_IterableDataset_len_called", tt_value_null(a)) &&
                    tt_value_set(a, root, "_shared_seed", tt_value_null(a)) && tt_value_set(a, root, "fetcher_state", fetcher) &&
                    tt_value_set(a, root, "dataset_state", dataset) &&
                    tt_value_set(a, root, "_iterator_finished", tt_value_bool(a, pos->finished));
    if (!ok)
        return tt_err_nomem(err, 0, "the dataloader's state");
    *out = root;
    return TT_OK;
}

static tt_status read_buffer(struct tt_tokens *out, const struct tt_value *dataset, const struct tt_tokenizer *tok,
                             const char *what, struct tt_err *err)
{
    const struct tt_value *list = tt_value_get(dataset, "token_buffer");
    if (!list || list->kind != TT_V_LIST)
        return tt_err_set(err, TT_EFORMAT, "%s: dataset_state.token_buffer: expected a list, found %s", what,
                          list ? tt_value_kind_name(list->kind) : "nothing");
    for (size_t i = 0; i < list->u.list.n; i++) {
        const struct tt_value *v = list->u.list.items[i];
        if (v->kind != TT_V_INT || v->u.i < 0 || v->u.i >= tt_tokenizer_nids(tok))
            return tt_err_set(err, TT_EFORMAT,
                              "%s: dataset_state.token_buffer[%zu]: expected a token id below %" PRId64
                              "; was it made with another tokenizer?",
                              what, i, tt_tokenizer_nids(tok));
        const int32_t id = (int32_t)v->u.i;
        const tt_status st = tt_tokens_append(out, &id, 1, err);
        if (st != TT_OK)
            return st;
    }
    return TT_OK;
}

/* dataset_state of the other kind. */
static tt_status check_kind(const struct tt_loader *l, const struct tt_value *dataset, const char *what, struct tt_err *err)
{
    const bool has_data = tt_value_get(dataset, "data") != NULL;
    if (has_data == (l->it != NULL) || !dataset)
        return TT_OK;
    return tt_err_set(err, TT_EUNSUPPORTED,
                      "%s: the position in a %s dataset, which %s is not; leave it out with "
                      "--checkpoint.exclude_from_loading dataloader",
                      what, has_data ? "streamed" : "map-style", l->dataset);
}

/* The position of a loader without workers has the dataset's; that of one with workers has each of theirs, of which the first worker has
 * given the most, as they give a batch in turn. */
static const struct tt_value *dataset_state(const struct tt_value *state)
{
    const struct tt_value *worker = tt_value_at(state, "_snapshot", "_worker_snapshots", "worker_0", NULL);
    return tt_value_get(worker ? worker : state, "dataset_state");
}

static tt_status read_counts(struct tt_loader_pos *pos, const struct tt_value *state, const char *what, struct tt_err *err)
{
    tt_status st = tt_field_count(&pos->yielded, state, "_num_yielded", what, err);
    if (st == TT_OK)
        st = tt_field_count(&pos->tried, state, "_sampler_iter_yielded", what, err);
    if (st == TT_OK)
        st = tt_field_bool(&pos->finished, state, "_iterator_finished", TT_REQUIRED, what, err);
    if (st == TT_OK)
        st = tt_field_bool(&pos->ended, tt_value_get(state, "fetcher_state"), "fetcher_ended", TT_REQUIRED, what, err);
    return st;
}

static tt_status read_snapshot(struct tt_loader_pos *pos, const struct tt_loader *l, const struct tt_value *state, const char *what,
                               struct tt_err *err)
{
    const struct tt_value *snapshot = tt_value_get(state, "_snapshot"), *main = tt_value_get(snapshot, "_main_snapshot");
    int64_t nworkers = 0, since = 0;
    tt_status st = tt_field_count(&nworkers, main, "_num_workers", what, err);
    if (st == TT_OK)
        st = tt_field_count(&since, state, "_steps_since_snapshot", what, err);
    if (st == TT_OK)
        st = tt_field_count(&pos->yielded, snapshot, "_snapshot_step", what, err);
    if (st == TT_OK)
        st = tt_field_bool(&pos->finished, state, "_iterator_finished", TT_REQUIRED, what, err);
    if (st != TT_OK)
        return st;
    pos->tried = pos->yielded;
    if (since != 0)
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: _steps_since_snapshot: expected 0, found %" PRId64, what, since);
    if (nworkers > 1 && l->it)
        return tt_err_set(err, TT_EUNSUPPORTED,
                          "%s: the position of %" PRId64 " worker processes, each in files of its own, from which "
                          "nothing else can go on; leave it out with --checkpoint.exclude_from_loading dataloader",
                          what, nworkers);
    return TT_OK;
}

static tt_status read_position(struct tt_loader_pos *pos, const struct tt_loader *l, const struct tt_value *state, const char *what,
                               struct tt_err *err)
{
    const struct tt_value *dataset = dataset_state(state);
    tt_status st = check_kind(l, dataset, what, err);
    if (st == TT_OK)
        st = tt_value_get(state, "_snapshot") ? read_snapshot(pos, l, state, what, err) : read_counts(pos, state, what, err);
    if (st == TT_OK && l->text)
        st = tt_field_count(&pos->sample_idx, dataset, "sample_idx", what, err);
    if (st == TT_OK && l->nsamples >= 0 && pos->sample_idx > l->nsamples)
        st = tt_err_set(err, TT_EFORMAT,
                        "%s: dataset_state.sample_idx: expected at most %" PRId64 ", the samples of this rank in %s, "
                        "found %" PRId64,
                        what, l->nsamples, l->path, pos->sample_idx);
    if (st == TT_OK && pos->tried > INT64_MAX / 2 / l->opts.local_batch)
        st = tt_err_set(err, TT_EFORMAT, "%s: _sampler_iter_yielded: expected at most %" PRId64 " batches, found %" PRId64, what,
                        INT64_MAX / 2 / l->opts.local_batch, pos->tried);
    return st == TT_OK ? read_buffer(&pos->buffer, dataset, l->tok, what, err) : st;
}

tt_status tt_loader_restore(struct tt_loader *l, const struct tt_value *state, const char *what, struct tt_err *err)
{
    struct tt_loader_pos pos = { 0 };
    tt_loader_stop_ahead(l);
    tt_status st = read_position(&pos, l, state, what, err);
    if (st == TT_OK && l->text)
        st = tt_text_seek(l->text, l->first + pos.sample_idx, err);
    else if (st == TT_OK)
        st = tt_iterable_restore(l->it, tt_value_get(dataset_state(state), "data"), what, err);
    if (st != TT_OK) {
        tt_tokens_release(&pos.buffer);
        return st;
    }
    if (pos.finished) { /* a new iterator over what is left, as PyTorch's loader makes one */
        pos.finished = pos.ended = false;
        pos.tried = pos.yielded = 0;
    }
    tt_tokens_release(&l->pos.buffer);
    tt_loader_end_rest(l);
    l->pos = pos;
    l->fruitful = true;
    return TT_OK;
}

/* --- of what was made ahead ------------------------------------------------------------------------------------------------- */

static tt_status copy(struct tt_value **out, struct tt_arena *arena, const struct tt_value *v, struct tt_err *err)
{
    *out = v ? tt_value_copy(arena, v) : NULL;
    return *out || !v ? TT_OK : tt_err_nomem(err, 0, "the dataloader's state");
}

tt_status tt_loader_state(const struct tt_loader *l, struct tt_arena *arena, struct tt_value **out, struct tt_err *err)
{
    return l->ahead ? copy(out, arena, tt_ahead_state(l->ahead), err) : tt_loader_make_state(l, arena, out, err);
}

tt_status tt_loader_rest(const struct tt_loader *l, struct tt_arena *arena, struct tt_value **out, struct tt_err *err)
{
    return l->ahead ? copy(out, arena, tt_ahead_rest(l->ahead), err) : tt_loader_make_rest(l, arena, out, err);
}
