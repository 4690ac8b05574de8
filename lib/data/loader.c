#include "data/loader.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "data/rest.h"
#include "data/text.h"

/* Where a rank is: what TorchTitan's dataset and PyTorch's loader around it keep. */
struct position {
    struct tt_tokens buffer; /* tokens not yet in a sequence, [head, n) */
    size_t head;
    int64_t sample_idx; /* samples taken of this rank's part */
    bool draining;      /* sequences come off the buffer until it is too short; false: first another sample */
    int64_t tried, yielded; /* batches asked for, and given */
    bool ended, finished;   /* the samples ran out; so did the batches */
};

struct tt_loader {
    struct tt_text *text;
    const struct tt_tokenizer *tok;
    struct tt_encoder *enc;
    struct tt_loader_opts opts; /* strings owned */
    char *dataset, *path;
    int64_t first, nsamples; /* of the rank's part; nsamples -1: a pipe, as many as come */
    struct position pos;
    struct tt_rest rest; /* what is left of a pass that other ranks began; n 0: this rank's part is being read, as pos says */
};

/* --- opening ----------------------------------------------------------------------------------------------------------- */

static tt_status check_opts(const struct tt_loader_opts *o, struct tt_err *err)
{
    if (o->seq_len < 1 || o->seq_len > INT32_MAX - 1)
        return tt_err_set(err, TT_EINVAL, "training.seq_len: expected 1 to %d, found %" PRId64, INT32_MAX - 1, o->seq_len);
    if (o->local_batch < 1)
        return tt_err_set(err, TT_EINVAL, "training.local_batch_size: expected at least 1, found %" PRId64, o->local_batch);
    if (o->dp_world < 1 || o->dp_rank < 0 || o->dp_rank >= o->dp_world)
        return tt_err_set(err, TT_EINVAL, "data-parallel rank %d of %d", o->dp_rank, o->dp_world);
    return TT_OK;
}

static tt_status take_part(struct tt_loader *l, struct tt_err *err)
{
    const int64_t n = tt_text_count(l->text), w = l->opts.dp_world, r = l->opts.dp_rank;
    if (n < 0 && w > 1)
        return tt_err_set(err, TT_EINVAL, "%s: a pipe cannot be split between %d data-parallel ranks", l->path, l->opts.dp_world);
    if (n < 0) {
        l->nsamples = -1;
        return TT_OK;
    }
    const struct tt_data_part part = tt_data_part(n, r, w);
    l->first = part.first;
    l->nsamples = part.n;
    if (l->nsamples == 0)
        return tt_err_set(err, TT_EINVAL, "%s: %" PRId64 " samples leave none for data-parallel rank %d of %d", l->path, n,
                          l->opts.dp_rank, l->opts.dp_world);
    return tt_text_seek(l->text, l->first, err);
}

tt_status tt_loader_new(struct tt_loader **out, const struct tt_tokenizer *tok, const struct tt_loader_opts *opts,
                        struct tt_err *err)
{
    tt_status st = check_opts(opts, err);
    if (st != TT_OK)
        return st;
    struct tt_loader *l = calloc(1, sizeof *l);
    if (!l)
        return tt_err_nomem(err, sizeof *l, "a loader");
    l->tok = tok;
    l->opts = *opts;
    l->opts.dataset = l->dataset = strdup(opts->dataset ? opts->dataset : "");
    l->opts.path = l->path = strdup(opts->path);
    if (!l->dataset || !l->path)
        st = tt_err_nomem(err, 0, "a loader");
    if (st == TT_OK)
        st = tt_encoder_new(&l->enc, tok, err);
    if (st == TT_OK)
        st = tt_text_open(&l->text, l->path, err);
    if (st == TT_OK)
        st = take_part(l, err);
    if (st != TT_OK) {
        tt_loader_free(l);
        return st;
    }
    *out = l;
    return TT_OK;
}

void tt_loader_free(struct tt_loader *l)
{
    if (!l)
        return;
    tt_text_free(l->text);
    tt_encoder_free(l->enc);
    tt_tokens_release(&l->pos.buffer);
    tt_rest_release(&l->rest);
    free(l->dataset);
    free(l->path);
    free(l);
}

/* --- batches ----------------------------------------------------------------------------------------------------------- */

static size_t buffered(const struct position *pos) { return pos->buffer.n - pos->head; }

/* What was used is given back before more comes, so that the buffer holds a sample and a sequence, not the whole history. */
static void drop_used(struct position *pos)
{
    const size_t left = buffered(pos);
    if (left && pos->head)
        memmove(pos->buffer.id, pos->buffer.id + pos->head, left * sizeof *pos->buffer.id);
    pos->buffer.n = left;
    pos->head = 0;
}

/* The end of this rank's samples: over, or from the first again. *more: whether a sample follows. */
static tt_status at_end(struct tt_loader *l, bool *more, struct tt_err *err)
{
    *more = false;
    if (l->nsamples < 0 && l->pos.sample_idx == 0)
        return tt_err_set(err, TT_EFORMAT, "%s: no samples in it", l->path);
    if (!l->opts.infinite || l->nsamples < 0) {
        tt_log_line(l->opts.log, TT_LOG_WARNING, "Dataset %s has run out of data", l->dataset);
        return TT_OK;
    }
    l->pos.sample_idx = 0;
    tt_log_line(l->opts.log, TT_LOG_WARNING, "Dataset %s is being re-looped", l->dataset);
    *more = true;
    return tt_text_seek(l->text, l->first, err);
}

/* Where a stream of the rest is through: on to the next one that has samples, the tokens of those between added. Behind the last
 * one this rank is at the end of a pass, as if its own part had ended. */
static tt_status next_stream(struct tt_loader *l, struct tt_err *err)
{
    struct tt_rest *rest = &l->rest;
    tt_status st = TT_OK;
    bool moved = false;
    while (st == TT_OK && rest->n && rest->streams[rest->at].next == rest->streams[rest->at].end) {
        moved = true;
        if (++rest->at == rest->n) {
            tt_rest_release(rest);
            l->pos.sample_idx = l->nsamples;
        } else {
            const struct tt_tokens *t = &rest->streams[rest->at].buffer;
            st = tt_tokens_append(&l->pos.buffer, t->id, t->n, err);
        }
    }
    if (st == TT_OK && moved && rest->n)
        st = tt_text_seek(l->text, rest->streams[rest->at].first + rest->streams[rest->at].next, err);
    return st;
}

/* Counts a sample that was taken. */
static tt_status count_sample(struct tt_loader *l, struct tt_err *err)
{
    if (!l->rest.n) {
        l->pos.sample_idx++;
        return TT_OK;
    }
    l->rest.streams[l->rest.at].next++;
    return next_stream(l, err);
}

/* Adds the next sample's tokens. *more false: there is none. */
static tt_status take_sample(struct tt_loader *l, bool *more, struct tt_err *err)
{
    struct position *pos = &l->pos;
    const char *sample = NULL;
    size_t nbytes = 0;
    *more = true;
    tt_status st = TT_OK;
    if (!l->rest.n && pos->sample_idx == l->nsamples)
        st = at_end(l, more, err);
    if (st != TT_OK || !*more)
        return st;
    st = tt_text_next(l->text, &sample, &nbytes, err);
    if (st != TT_OK)
        return st;
    if (!sample && l->nsamples >= 0)
        return tt_err_set(err, TT_EFORMAT, "%s: fewer samples than when it was opened", l->path);
    if (!sample)
        return at_end(l, more, err);
    drop_used(pos);
    st = tt_encode(l->enc, &pos->buffer, sample, nbytes, TT_ENCODE_BOS | TT_ENCODE_EOS, err);
    return st == TT_OK ? count_sample(l, err) : st;
}

/* One sequence off the buffer, filled up before. *got false: the samples ran out. */
static tt_status next_sequence(struct tt_loader *l, int32_t *input, int32_t *labels, bool *got, struct tt_err *err)
{
    struct position *pos = &l->pos;
    const size_t len = (size_t)l->opts.seq_len;
    int64_t barren = 0; /* samples in a row that gave no token at all */
    while (!pos->draining || buffered(pos) < len + 1) {
        const size_t before = buffered(pos);
        bool more;
        const tt_status st = take_sample(l, &more, err);
        if (st != TT_OK)
            return st;
        *got = more;
        if (!more)
            return TT_OK;
        pos->draining = true;
        barren = buffered(pos) == before ? barren + 1 : 0;
        if (l->opts.infinite && l->nsamples >= 0 && barren > l->nsamples)
            return tt_err_set(err, TT_EFORMAT, "%s: none of its samples has a token", l->path);
    }
    memcpy(input, pos->buffer.id + pos->head, len * sizeof *input);
    memcpy(labels, pos->buffer.id + pos->head + 1, len * sizeof *labels);
    pos->head += len + 1;
    *got = true;
    return TT_OK;
}

tt_status tt_loader_next(struct tt_loader *l, int32_t *input, int32_t *labels, int64_t *nseq, struct tt_err *err)
{
    struct position *pos = &l->pos;
    int64_t n = 0;
    pos->tried++;
    while (n < l->opts.local_batch && !pos->ended) {
        bool got;
        const tt_status st = next_sequence(l, input + n * l->opts.seq_len, labels + n * l->opts.seq_len, &got, err);
        if (st != TT_OK)
            return st;
        pos->ended = !got;
        n += got;
    }
    pos->finished = n == 0;
    pos->yielded += n > 0;
    *nseq = n;
    return TT_OK;
}

tt_status tt_loader_restart(struct tt_loader *l, struct tt_err *err)
{
    struct position *pos = &l->pos;
    const bool through = !l->opts.infinite && pos->sample_idx == l->nsamples;
    if (l->nsamples < 0 && pos->ended)
        return tt_err_set(err, TT_EINVAL, "%s: a pipe cannot be read again", l->path);
    if (l->nsamples >= 0 && (l->opts.streamed || through)) {
        const tt_status st = tt_text_seek(l->text, l->first, err);
        if (st != TT_OK)
            return st;
        tt_rest_release(&l->rest);
        pos->sample_idx = 0;
    }
    pos->tried = pos->yielded = 0;
    pos->draining = pos->ended = pos->finished = false;
    return TT_OK;
}

/* --- position ---------------------------------------------------------------------------------------------------------- */

static struct tt_value *buffer_value(const struct position *pos, struct tt_arena *a)
{
    struct tt_value *list = tt_value_list(a);
    for (size_t i = pos->head; list && i < pos->buffer.n; i++)
        if (!tt_value_append(a, list, tt_value_int(a, pos->buffer.id[i])))
            return NULL;
    return list;
}

tt_status tt_loader_state(const struct tt_loader *l, struct tt_arena *a, struct tt_value **out, struct tt_err *err)
{
    const struct position *pos = &l->pos;
    struct tt_value *root = tt_value_map(a), *sampler = tt_value_map(a), *fetcher = tt_value_map(a), *dataset = tt_value_map(a);
    const bool ok = tt_value_set(a, sampler, "samples_yielded", tt_value_int(a, pos->tried * l->opts.local_batch)) &&
                    tt_value_set(a, fetcher, "dataset_iter_state", tt_value_null(a)) &&
                    tt_value_set(a, fetcher, "fetcher_ended", tt_value_bool(a, pos->ended)) &&
                    tt_value_set(a, dataset, "token_buffer", buffer_value(pos, a)) &&
                    tt_value_set(a, dataset, "sample_idx", tt_value_int(a, pos->sample_idx)) &&
                    tt_value_set(a, root, "_index_sampler_state", tt_value_null(a)) &&
                    tt_value_set(a, root, "_sampler_iter_state", sampler) &&
                    tt_value_set(a, root, "_sampler_iter_yielded", tt_value_int(a, pos->tried)) &&
                    tt_value_set(a, root, "_num_yielded", tt_value_int(a, pos->yielded)) &&
                    tt_value_set(a, root, "_IterableDataset_len_called", tt_value_null(a)) &&
                    tt_value_set(a, root, "_shared_seed", tt_value_null(a)) &&
                    tt_value_set(a, root, "fetcher_state", fetcher) && tt_value_set(a, root, "dataset_state", dataset) &&
                    tt_value_set(a, root, "_iterator_finished", tt_value_bool(a, pos->finished));
    if (!ok)
        return tt_err_nomem(err, 0, "the dataloader's state");
    *out = root;
    return TT_OK;
}

/* Counts that leave room to count on. */
static tt_status number(int64_t *out, const struct tt_value *map, const char *key, const char *what, struct tt_err *err)
{
    static const int64_t most = INT64_C(1) << 53;
    const struct tt_value *v = tt_value_get(map, key);
    if (!v || v->kind != TT_V_INT)
        return tt_err_set(err, TT_EFORMAT, "%s: %s: expected a number from 0 to 2^53, found %s", what, key,
                          v ? tt_value_kind_name(v->kind) : "nothing");
    if (v->u.i < 0 || v->u.i > most)
        return tt_err_set(err, TT_EFORMAT, "%s: %s: expected a number from 0 to 2^53, found %" PRId64, what, key, v->u.i);
    *out = v->u.i;
    return TT_OK;
}

static tt_status flag(bool *out, const struct tt_value *map, const char *key, const char *what, struct tt_err *err)
{
    const struct tt_value *v = tt_value_get(map, key);
    if (!v || v->kind != TT_V_BOOL)
        return tt_err_set(err, TT_EFORMAT, "%s: %s: expected true or false, found %s", what, key,
                          v ? tt_value_kind_name(v->kind) : "nothing");
    *out = v->u.b;
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
            return tt_err_set(err, TT_EFORMAT, "%s: dataset_state.token_buffer[%zu]: expected a token id below %" PRId64
                              "; was it made with another tokenizer?", what, i, tt_tokenizer_nids(tok));
        const int32_t id = (int32_t)v->u.i;
        const tt_status st = tt_tokens_append(out, &id, 1, err);
        if (st != TT_OK)
            return st;
    }
    return TT_OK;
}

static tt_status read_position(struct position *pos, const struct tt_loader *l, const struct tt_value *state, const char *what,
                               struct tt_err *err)
{
    const struct tt_value *dataset = tt_value_get(state, "dataset_state");
    if (tt_value_get(state, "_snapshot"))
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: made with training.dataloader.num_workers > 0, which is not read; leave the "
                          "position out with --checkpoint.exclude_from_loading dataloader", what);
    if (tt_value_get(dataset, "data"))
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: the position in a streamed dataset, not in a local one; leave it out with "
                          "--checkpoint.exclude_from_loading dataloader", what);
    tt_status st = number(&pos->yielded, state, "_num_yielded", what, err);
    if (st == TT_OK)
        st = number(&pos->tried, state, "_sampler_iter_yielded", what, err);
    if (st == TT_OK)
        st = flag(&pos->finished, state, "_iterator_finished", what, err);
    if (st == TT_OK)
        st = flag(&pos->ended, tt_value_get(state, "fetcher_state"), "fetcher_ended", what, err);
    if (st == TT_OK)
        st = number(&pos->sample_idx, dataset, "sample_idx", what, err);
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
    struct position pos = { 0 };
    tt_status st = read_position(&pos, l, state, what, err);
    if (st == TT_OK)
        st = tt_text_seek(l->text, l->first + pos.sample_idx, err);
    if (st != TT_OK) {
        tt_tokens_release(&pos.buffer);
        return st;
    }
    if (pos.finished) { /* a new iterator over what is left, as PyTorch's loader makes one */
        pos.finished = pos.ended = false;
        pos.tried = pos.yielded = 0;
    }
    tt_tokens_release(&l->pos.buffer);
    tt_rest_release(&l->rest);
    l->pos = pos;
    return TT_OK;
}

tt_status tt_loader_rest(const struct tt_loader *l, struct tt_arena *arena, struct tt_value **out, struct tt_err *err)
{
    const struct position *pos = &l->pos;
    *out = NULL;
    if (!l->rest.n)
        return TT_OK;
    *out = tt_rest_value(&l->rest, pos->buffer.id + pos->head, buffered(pos), tt_text_count(l->text), arena);
    return *out ? TT_OK : tt_err_nomem(err, 0, "the position in the data");
}

/* The share is this rank's part from somewhere on: the position of a loader that never had a rest. */
static bool is_own_part(const struct tt_loader *l, const struct tt_rest *rest)
{
    const struct tt_stream *s = rest->streams;
    return rest->n == 1 && s->part == l->opts.dp_rank && s->parts == l->opts.dp_world && s->end == l->nsamples;
}

tt_status tt_loader_restore_rest(struct tt_loader *l, const struct tt_value *position, const char *what, struct tt_err *err)
{
    const int64_t n = tt_text_count(l->text);
    struct tt_rest rest;
    if (n < 0)
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: the position of other ranks, from which a pipe (%s) cannot go on", what, l->path);
    tt_status st = tt_rest_share(&rest, position, n, l->opts.dp_rank, l->opts.dp_world, tt_tokenizer_nids(l->tok), what, err);
    if (st == TT_OK)
        st = tt_text_seek(l->text, rest.n ? rest.streams[0].first + rest.streams[0].next : l->first, err);
    if (st != TT_OK)
        return st;
    tt_tokens_release(&l->pos.buffer);
    tt_rest_release(&l->rest);
    l->pos = (struct position){ .sample_idx = rest.n ? rest.streams[0].next : l->nsamples, .draining = true };
    if (rest.n) {
        l->pos.buffer = rest.streams[0].buffer;
        rest.streams[0].buffer = (struct tt_tokens){ 0 };
    }
    l->rest = rest;
    if (is_own_part(l, &rest))
        tt_rest_release(&l->rest);
    return next_stream(l, err);
}
