/* Reading what is left of a pass that other ranks began. */
#include "data/loader_private.h"

void tt_loader_end_rest(struct tt_loader *l)
{
    tt_rest_release(&l->rest);
    tt_iterable_free(l->rest_it);
    l->rest_it = NULL;
}

/* On to the next stream, whose tokens are added; *over: there is none. */
static tt_status next_stream(struct tt_loader *l, bool *over, struct tt_err *err)
{
    struct tt_rest *rest = &l->rest;
    *over = ++rest->at == rest->n;
    if (*over)
        return TT_OK;
    const struct tt_tokens *t = &rest->streams[rest->at].buffer;
    return tt_tokens_append(&l->pos.buffer, t->id, t->n, err);
}

/* --- map-style --------------------------------------------------------------------------------------------------------------- */

/* Past streams that have no sample left. Behind the last one this rank is at the end of a pass, as if its own part had ended. */
static tt_status skip_empty(struct tt_loader *l, struct tt_err *err)
{
    struct tt_rest *rest = &l->rest;
    tt_status st = TT_OK;
    bool moved = false, over = false;
    while (st == TT_OK && !over && rest->streams[rest->at].next == rest->streams[rest->at].end) {
        st = next_stream(l, &over, err);
        moved = true;
    }
    if (st == TT_OK && over) {
        tt_loader_end_rest(l);
        l->pos.sample_idx = l->nsamples;
    } else if (st == TT_OK && moved) {
        st = tt_text_seek(l->text, rest->streams[rest->at].first + rest->streams[rest->at].next, err);
    }
    return st;
}

tt_status tt_loader_rest_count(struct tt_loader *l, struct tt_err *err)
{
    l->rest.streams[l->rest.at].next++;
    return skip_empty(l, err);
}

/* --- streamed ---------------------------------------------------------------------------------------------------------------- */

static tt_status open_stream(struct tt_loader *l, const char *what, struct tt_err *err)
{
    const struct tt_dataset *d = tt_dataset_find(l->dataset);
    const struct tt_stream *s = &l->rest.streams[l->rest.at];
    tt_iterable_free(l->rest_it);
    l->rest_it = NULL;
    const struct tt_iterable_part part = { s->part, s->parts, s->worker, s->workers };
    const tt_status st = tt_iterable_open(&l->rest_it, l->path, d->config, d->split, part, err);
    return st == TT_OK ? tt_iterable_restore(l->rest_it, s->data, what, err) : st;
}

/* The latest pass that a stream is in. */
static int64_t last_epoch(const struct tt_rest *rest)
{
    int64_t epoch = 0;
    for (size_t i = 0; i < rest->n; i++) {
        const struct tt_value *v = tt_value_get(rest->streams[i].data, "epoch");
        if (v && v->kind == TT_V_INT && v->u.i > epoch)
            epoch = v->u.i;
    }
    return epoch;
}

tt_status tt_loader_rest_sample(struct tt_loader *l, const char **sample, size_t *nbytes, struct tt_err *err)
{
    struct tt_rest *rest = &l->rest;
    for (bool over = false;;) {
        struct tt_stream *s = &rest->streams[rest->at];
        tt_status st = tt_iterable_next(l->rest_it, sample, nbytes, err);
        if (st != TT_OK)
            return st;
        if (*sample && s->skip-- == 0) {
            s->skip = s->stride - 1;
            return TT_OK;
        }
        if (*sample)
            continue;
        st = next_stream(l, &over, err);
        if (st == TT_OK && !over)
            st = open_stream(l, l->path, err);
        if (st != TT_OK)
            return st;
        if (over) {
            tt_iterable_end(l->it, last_epoch(rest));
            tt_loader_end_rest(l);
            return TT_OK;
        }
    }
}

/* --- the position ------------------------------------------------------------------------------------------------------------ */

tt_status tt_loader_make_rest(const struct tt_loader *l, struct tt_arena *arena, struct tt_value **out, struct tt_err *err)
{
    const struct tt_loader_pos *pos = &l->pos;
    *out = NULL;
    if (!l->rest.n)
        return TT_OK;
    const struct tt_value *data = l->rest_it ? tt_iterable_state(l->rest_it, arena) : NULL;
    if (data || !l->rest_it)
        *out = tt_rest_value(&l->rest, pos->buffer.id + pos->head, tt_loader_buffered(pos), data,
                             l->it ? -1 : tt_text_count(l->text), arena);
    return *out ? TT_OK : tt_err_nomem(err, 0, "the position in the data");
}

/* The share is this rank's part from somewhere on: the position of a loader that never had a rest. */
static bool is_own_part(const struct tt_loader *l)
{
    const struct tt_stream *s = l->rest.streams;
    return l->rest.n == 1 && s->part == l->opts.dp_rank && s->parts == l->opts.dp_world &&
           (l->it ? s->skip == 0 && s->stride == 1 && s->workers == 1 : s->end == l->nsamples);
}

/* To where the first stream was left. */
static tt_status go_to_first(struct tt_loader *l, const char *what, struct tt_err *err)
{
    const struct tt_stream *s = l->rest.streams;
    if (l->text)
        return tt_text_seek(l->text, l->rest.n ? s->first + s->next : l->first, err);
    if (!l->rest.n) {
        tt_iterable_end(l->it, 0);
        return TT_OK;
    }
    return is_own_part(l) ? tt_iterable_restore(l->it, s->data, what, err) : open_stream(l, what, err);
}

tt_status tt_loader_restore_rest(struct tt_loader *l, const struct tt_value *position, const char *what, struct tt_err *err)
{
    const int64_t n = l->text ? tt_text_count(l->text) : -1;
    struct tt_rest rest;
    if (l->text && n < 0)
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: the position of other ranks, from which a pipe (%s) cannot go on", what,
                          l->path);
    tt_status st = tt_rest_share(&rest, position, n, l->opts.dp_rank, l->opts.dp_world, tt_tokenizer_nids(l->tok), what, err);
    if (st != TT_OK)
        return st;
    tt_loader_stop_ahead(l);
    tt_loader_end_rest(l);
    tt_tokens_release(&l->pos.buffer);
    l->rest = rest;
    l->fruitful = true;
    l->pos = (struct tt_loader_pos){ .sample_idx = l->it ? 0 : l->nsamples, .draining = true };
    st = go_to_first(l, what, err);
    if (st != TT_OK || !rest.n)
        return st;
    l->pos.buffer = rest.streams[0].buffer;
    l->pos.sample_idx = rest.streams[0].next;
    rest.streams[0].buffer = (struct tt_tokens){ 0 };
    if (is_own_part(l))
        tt_loader_end_rest(l);
    return l->rest.n && l->text ? skip_empty(l, err) : TT_OK;
}
