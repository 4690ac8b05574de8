#include "data/loader_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD_MAX = 1 << 20 };

/* --- opening ----------------------------------------------------------------------------------------------------------- */

static tt_status check_opts(const struct tt_loader_opts *o, struct tt_err *err)
{
    if (o->seq_len < 1 || o->seq_len > INT32_MAX - 1)
        return tt_err_set(err, TT_EINVAL, "training.seq_len: expected 1 to %d, found %" PRId64, INT32_MAX - 1, o->seq_len);
    if (o->local_batch < 1)
        return tt_err_set(err, TT_EINVAL, "training.local_batch_size: expected at least 1, found %" PRId64, o->local_batch);
    if (o->nahead < 0 || o->nahead > AHEAD_MAX)
        return tt_err_set(err, TT_EINVAL, "training.dataloader: expected at most %d batches made ahead, found %" PRId64, AHEAD_MAX,
                          o->nahead);
    if (o->dp_world < 1 || o->dp_rank < 0 || o->dp_rank >= o->dp_world)
        return tt_err_set(err, TT_EINVAL, "data-parallel rank %d of %d", o->dp_rank, o->dp_world);
    return TT_OK;
}

static tt_status open_text(struct tt_loader *l, const struct tt_dataset *dataset, struct tt_err *err)
{
    const tt_status st = tt_text_open(&l->text, l->path, dataset->config, dataset->split, err);
    if (st != TT_OK)
        return st;
    const int64_t n = tt_text_count(l->text), w = l->opts.dp_world, r = l->opts.dp_rank;
    const int nranks = l->opts.nranks > l->opts.dp_world ? l->opts.nranks : l->opts.dp_world;
    if (n < 0 && nranks > 1)
        return tt_err_set(err, TT_EINVAL, "%s: a pipe cannot be read by each of %d ranks: they need a file", l->path, nranks);
    if (n < 0) {
        tt_log_line(l->opts.log, TT_LOG_WARNING,
                    "The standard input is read once. A checkpoint has how many of its samples were taken: a "
                    "run that resumes passes over as many, and so needs the same input from its start");
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

static tt_status open_source(struct tt_loader *l, struct tt_err *err)
{
    const struct tt_dataset *dataset = tt_dataset_find(l->dataset);
    if (!dataset)
        return tt_err_set(err, TT_EINVAL, "no dataset is named \"%s\"", l->dataset);
    if (!dataset->is_streamed || strcmp(l->path, "-") == 0)
        return open_text(l, dataset, err);
    l->nsamples = -1;
    const struct tt_iterable_part part = { l->opts.dp_rank, l->opts.dp_world, 0, 1 };
    return tt_iterable_open(&l->it, l->path, dataset->config, dataset->split, part, err);
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
    l->fruitful = true;
    if (!l->dataset || !l->path)
        st = tt_err_nomem(err, 0, "a loader");
    if (st == TT_OK)
        st = tt_encoder_new(&l->enc, tok, err);
    if (st == TT_OK)
        st = open_source(l, err);
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
    tt_ahead_free(l->ahead);
    tt_text_free(l->text);
    tt_iterable_free(l->it);
    tt_encoder_free(l->enc);
    tt_tokens_release(&l->pos.buffer);
    tt_loader_end_rest(l);
    free(l->dataset);
    free(l->path);
    free(l);
}

/* --- batches ----------------------------------------------------------------------------------------------------------- */

/* What was used is given back before more comes, so that the buffer holds a sample and a sequence, not the whole history. */
static void drop_used(struct tt_loader_pos *pos)
{
    const size_t left = tt_loader_buffered(pos);
    if (left && pos->head)
        memmove(pos->buffer.id, pos->buffer.id + pos->head, left * sizeof *pos->buffer.id);
    pos->buffer.n = left;
    pos->head = 0;
}

/* The end of this rank's samples: over, or from the first again. *more: whether a sample follows. */
static tt_status at_end(struct tt_loader *l, bool *more, struct tt_err *err)
{
    const bool is_pipe = l->text && l->nsamples < 0;
    *more = false;
    if (is_pipe && l->pos.sample_idx == 0)
        return tt_err_set(err, TT_EFORMAT, "%s: no samples in it", l->path);
    if (!l->opts.infinite || is_pipe) {
        tt_log_line(l->opts.log, TT_LOG_WARNING, "Dataset %s has run out of data", l->dataset);
        return TT_OK;
    }
    if (!l->fruitful)
        return tt_err_set(err, TT_EFORMAT, "%s: data-parallel rank %d of %d gets no token from all of it", l->path, l->opts.dp_rank,
                          l->opts.dp_world);
    l->fruitful = false;
    l->pos.sample_idx = 0;
    tt_log_line(l->opts.log, TT_LOG_WARNING, "Dataset %s is being re-looped", l->dataset);
    *more = true;
    if (l->text)
        return tt_text_seek(l->text, l->first, err);
    tt_iterable_next_epoch(l->it);
    return TT_OK;
}

/* The next sample of the rest, or of this rank's part; NULL at its end. */
static tt_status next_sample(struct tt_loader *l, const char **sample, size_t *nbytes, struct tt_err *err)
{
    *sample = NULL;
    if (l->it)
        return l->rest.n ? tt_loader_rest_sample(l, sample, nbytes, err) : tt_iterable_next(l->it, sample, nbytes, err);
    if (!l->rest.n && l->pos.sample_idx == l->nsamples)
        return TT_OK;
    const tt_status st = tt_text_next(l->text, sample, nbytes, err);
    if (st == TT_OK && !*sample && l->nsamples >= 0)
        return tt_err_set(err, TT_EFORMAT, "%s: fewer samples than when it was opened", l->path);
    return st;
}

/* Adds the next sample's tokens. *more false: there is none. */
static tt_status take_sample(struct tt_loader *l, bool *more, struct tt_err *err)
{
    struct tt_loader_pos *pos = &l->pos;
    const char *sample = NULL;
    size_t nbytes = 0;
    *more = true;
    tt_status st = next_sample(l, &sample, &nbytes, err);
    while (st == TT_OK && !sample && *more) {
        st = at_end(l, more, err);
        if (st == TT_OK && *more)
            st = next_sample(l, &sample, &nbytes, err);
    }
    if (st != TT_OK || !*more)
        return st;
    drop_used(pos);
    const size_t before = pos->buffer.n;
    st = tt_encode(l->enc, &pos->buffer, sample, nbytes, TT_ENCODE_BOS | TT_ENCODE_EOS, err);
    l->fruitful |= pos->buffer.n > before;
    if (st == TT_OK && l->rest.n && l->text)
        return tt_loader_rest_count(l, err);
    pos->sample_idx++;
    return st;
}

/* One sequence off the buffer, filled up before. *got false: the samples ran out. */
static tt_status next_sequence(struct tt_loader *l, int32_t *input, int32_t *labels, bool *got, struct tt_err *err)
{
    struct tt_loader_pos *pos = &l->pos;
    const size_t len = (size_t)l->opts.seq_len;
    while (!pos->draining || tt_loader_buffered(pos) < len + 1) {
        const tt_status st = take_sample(l, got, err);
        if (st != TT_OK || !*got)
            return st;
        pos->draining = true;
    }
    memcpy(input, pos->buffer.id + pos->head, len * sizeof *input);
    memcpy(labels, pos->buffer.id + pos->head + 1, len * sizeof *labels);
    pos->head += len + 1;
    *got = true;
    return TT_OK;
}

tt_status tt_loader_make(struct tt_loader *l, int32_t *input, int32_t *labels, int64_t *nseq, struct tt_err *err)
{
    struct tt_loader_pos *pos = &l->pos;
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

tt_status tt_loader_next(struct tt_loader *l, int32_t *input, int32_t *labels, int64_t *nseq, struct tt_err *err)
{
    if (l->opts.nahead == 0)
        return tt_loader_make(l, input, labels, nseq, err);
    const tt_status st = l->ahead ? TT_OK : tt_ahead_new(&l->ahead, l, l->opts.nahead, err);
    return st == TT_OK ? tt_ahead_next(l->ahead, input, labels, nseq, err) : st;
}

tt_status tt_loader_restart(struct tt_loader *l, struct tt_err *err)
{
    struct tt_loader_pos *pos = &l->pos;
    const bool through = l->nsamples >= 0 && !l->opts.infinite && pos->sample_idx == l->nsamples;
    tt_loader_stop_ahead(l);
    if (l->text && l->nsamples < 0 && pos->ended)
        return tt_err_set(err, TT_EINVAL, "%s: a pipe cannot be read again", l->path);
    if (l->it || through) {
        tt_loader_end_rest(l);
        pos->sample_idx = 0;
    }
    if (l->it)
        tt_iterable_restart(l->it);
    pos->tried = pos->yielded = 0;
    pos->draining = pos->ended = pos->finished = false;
    return through ? tt_text_seek(l->text, l->first, err) : TT_OK;
}
