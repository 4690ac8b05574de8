#include "data/rest.h"

#include <inttypes.h>
#include <stdlib.h>

enum { STREAMS_MAX = 1 << 20 };

struct tt_data_part tt_data_part(int64_t n, int64_t r, int64_t w)
{
    return (struct tt_data_part){ n / w * r + (r < n % w ? r : n % w), n / w + (r < n % w) };
}

void tt_rest_release(struct tt_rest *rest)
{
    for (size_t i = 0; i < rest->n; i++)
        tt_tokens_release(&rest->streams[i].buffer);
    free(rest->streams);
    tt_arena_release(&rest->arena);
    *rest = (struct tt_rest){ 0 };
}

/* --- reading ------------------------------------------------------------------------------------------------------------------ */

struct reader {
    const char *what;
    int64_t n, ntokens;
    struct tt_err *err;
};

static tt_status wrong(const struct reader *r, const char *name, const char *expected, const struct tt_value *v)
{
    return tt_err_set(r->err, TT_EFORMAT, "%s: %s: expected %s, found %s", r->what, name, expected,
                      v ? tt_value_kind_name(v->kind) : "nothing");
}

/* A whole number from min to max. */
static tt_status number(int64_t *out, const struct reader *r, const struct tt_value *map, const char *name, int64_t min, int64_t max)
{
    const struct tt_value *v = tt_value_get(map, name);
    if (!v || v->kind != TT_V_INT)
        return wrong(r, name, "a number", v);
    if (v->u.i < min || v->u.i > max)
        return tt_err_set(r->err, TT_EFORMAT, "%s: %s: expected %" PRId64 " to %" PRId64 ", found %" PRId64, r->what, name, min, max,
                          v->u.i);
    *out = v->u.i;
    return TT_OK;
}

static tt_status read_tokens(struct tt_tokens *out, const struct reader *r, const struct tt_value *map)
{
    const struct tt_value *list = tt_value_get(map, "token_buffer");
    tt_status st = list && list->kind == TT_V_LIST ? TT_OK : wrong(r, "token_buffer", "a list", list);

    for (size_t i = 0; st == TT_OK && i < list->u.list.n; i++) {
        const struct tt_value *v = list->u.list.items[i];
        if (v->kind != TT_V_INT || v->u.i < 0 || v->u.i >= r->ntokens)
            return tt_err_set(r->err, TT_EFORMAT, "%s: token_buffer[%zu]: expected a token id below %" PRId64
                              "; was it made with another tokenizer?", r->what, i, r->ntokens);
        const int32_t id = (int32_t)v->u.i;
        st = tt_tokens_append(out, &id, 1, r->err);
    }
    return st;
}

static tt_status read_streamed(struct tt_stream *out, struct tt_arena *arena, const struct reader *r, const struct tt_value *map)
{
    const struct tt_value *data = tt_value_get(map, "data");
    if (!data || (data->kind != TT_V_MAP && data->kind != TT_V_NULL))
        return wrong(r, "data", "the position in a streamed dataset", data);
    if (!(out->data = tt_value_copy(arena, data)))
        return tt_err_nomem(r->err, 0, "the position in the data");
    tt_status st = number(&out->stride, r, map, "stride", 1, INT64_MAX / STREAMS_MAX);
    if (st == TT_OK && tt_value_get(map, "workers"))
        st = number(&out->workers, r, map, "workers", 1, STREAMS_MAX);
    if (st == TT_OK && out->workers > 1)
        st = number(&out->worker, r, map, "worker", 0, out->workers - 1);
    return st == TT_OK ? number(&out->skip, r, map, "skip", 0, INT64_MAX / 2) : st;
}

static tt_status read_counted(struct tt_stream *out, const struct reader *r, const struct tt_value *map)
{
    const struct tt_value *end = tt_value_get(map, "end");
    tt_status st = TT_OK;
    const struct tt_data_part part = tt_data_part(r->n, out->part, out->parts);
    out->first = part.first;
    out->end = part.n;
    if (end && end->kind != TT_V_NULL)
        st = number(&out->end, r, map, "end", 0, part.n);
    if (st == TT_OK)
        st = number(&out->next, r, map, "sample_idx", 0, out->end);
    return st;
}

static tt_status read_stream(struct tt_stream *out, struct tt_arena *arena, const struct reader *r, const struct tt_value *map)
{
    tt_status st = number(&out->parts, r, map, "parts", 1, STREAMS_MAX);
    if (st == TT_OK)
        st = number(&out->part, r, map, "part", 0, out->parts - 1);
    if (st == TT_OK)
        st = r->n < 0 ? read_streamed(out, arena, r, map) : read_counted(out, r, map);
    return st == TT_OK ? read_tokens(&out->buffer, r, map) : st;
}

static tt_status add_stream(struct tt_rest *rest, const struct tt_stream *stream, struct tt_err *err)
{
    struct tt_stream *p = realloc(rest->streams, (rest->n + 1) * sizeof *p);
    if (!p)
        return tt_err_nomem(err, (rest->n + 1) * sizeof *p, "the position in the data");
    rest->streams = p;
    rest->streams[rest->n++] = *stream;
    return TT_OK;
}

/* The streams of lists [begin, end). */
static tt_status read_lists(struct tt_rest *out, const struct reader *r, const struct tt_value *ranks, size_t begin, size_t end)
{
    tt_status st = TT_OK;
    for (size_t i = begin; i < end && st == TT_OK; i++) {
        const struct tt_value *list = ranks->u.list.items[i];
        if (list->kind != TT_V_LIST)
            return wrong(r, "ranks", "lists", list);
        for (size_t j = 0; j < list->u.list.n && st == TT_OK; j++) {
            struct tt_stream stream = { .workers = 1 };
            if (out->n >= STREAMS_MAX)
                return tt_err_set(r->err, TT_EFORMAT, "%s: ranks: expected at most %d streams", r->what, STREAMS_MAX);
            st = read_stream(&stream, &out->arena, r, list->u.list.items[j]);
            if (st == TT_OK)
                st = add_stream(out, &stream, r->err);
            if (st != TT_OK)
                tt_tokens_release(&stream.buffer);
        }
    }
    return st;
}

/* --- sharing ------------------------------------------------------------------------------------------------------------------ */

/* Leaves of all streams what falls into samples [begin, end), counted through all of them. */
static void keep_run(struct tt_rest *rest, int64_t begin, int64_t end, bool is_last)
{
    size_t kept = 0;
    int64_t at = 0, len;
    for (size_t i = 0; i < rest->n; i++, at += len) {
        struct tt_stream s = rest->streams[i];
        len = s.end - s.next;
        const bool has_first = at >= begin && (at < end || is_last);
        const int64_t from = at > begin ? at : begin, to = at + len < end ? at + len : end;
        if (!has_first)
            tt_tokens_release(&s.buffer);
        if (from < to) {
            s.end = s.next + (to - at);
            s.next += from - at;
        } else {
            s.end = s.next;
        }
        if (s.next < s.end || s.buffer.n)
            rest->streams[kept++] = s;
        else
            tt_tokens_release(&s.buffer);
    }
    rest->n = kept;
}

/* Leaves of each stream what comes to rank r of w by turns. */
static void take_turns(struct tt_rest *rest, int64_t r, int64_t w)
{
    for (size_t i = 0; i < rest->n; i++) {
        struct tt_stream *s = &rest->streams[i];
        const int64_t turn = (r - (int64_t)(i % (size_t)w) + w) % w;
        s->skip += turn * s->stride;
        s->stride *= w;
        if (turn != 0)
            tt_tokens_release(&s->buffer);
    }
}

/* Leaves of all streams the r-th of w runs. */
static void take_run(struct tt_rest *rest, int r, int w)
{
    int64_t total = 0;
    for (size_t i = 0; i < rest->n; i++)
        total += rest->streams[i].end - rest->streams[i].next;
    const struct tt_data_part run = tt_data_part(total, r, w);
    keep_run(rest, run.first, run.first + run.n, r == w - 1);
}

tt_status tt_rest_share(struct tt_rest *out, const struct tt_value *position, int64_t n, int r, int w, int64_t ntokens,
                        const char *what, struct tt_err *err)
{
    const struct reader reader = { what, n, ntokens, err };
    const struct tt_value *ranks = tt_value_get(position, "ranks");
    struct tt_rest rest = { 0 };
    int64_t version;

    tt_status st = number(&version, &reader, position, "version", 1, 1);
    if (st == TT_OK && (!ranks || ranks->kind != TT_V_LIST))
        st = wrong(&reader, "ranks", "a list", ranks);
    if (st != TT_OK)
        return st;
    const bool own = ranks->u.list.n == (size_t)w;
    st = read_lists(&rest, &reader, ranks, own ? (size_t)r : 0, own ? (size_t)r + 1 : ranks->u.list.n);
    if (st == TT_OK && !own && n < 0)
        take_turns(&rest, r, w);
    else if (st == TT_OK && !own)
        take_run(&rest, r, w);
    if (st == TT_OK)
        *out = rest;
    else
        tt_rest_release(&rest);
    return st;
}

/* --- writing ------------------------------------------------------------------------------------------------------------------ */

/* Where a stream is, of data of n samples or (-1) streamed. */
static bool add_place(struct tt_value *map, const struct tt_stream *s, const struct tt_value *data, int64_t n, struct tt_arena *a)
{
    if (n < 0 && s->workers > 1 &&
        !(tt_value_set(a, map, "worker", tt_value_int(a, s->worker)) &&
          tt_value_set(a, map, "workers", tt_value_int(a, s->workers))))
        return false;
    if (n < 0)
        return tt_value_set(a, map, "data", tt_value_copy(a, data)) && tt_value_set(a, map, "skip", tt_value_int(a, s->skip)) &&
               tt_value_set(a, map, "stride", tt_value_int(a, s->stride));
    const bool whole = s->end == tt_data_part(n, s->part, s->parts).n;
    return tt_value_set(a, map, "sample_idx", tt_value_int(a, s->next)) &&
           tt_value_set(a, map, "end", whole ? tt_value_null(a) : tt_value_int(a, s->end));
}

static struct tt_value *stream_value(const struct tt_stream *s, const int32_t *buffer, size_t nbuffer, const struct tt_value *data,
                                     int64_t n, struct tt_arena *a)
{
    struct tt_value *map = tt_value_map(a), *tokens = tt_value_list(a);
    bool ok = true;
    for (size_t i = 0; i < nbuffer && ok; i++)
        ok = tt_value_append(a, tokens, tt_value_int(a, buffer[i]));
    ok = ok && tt_value_set(a, map, "part", tt_value_int(a, s->part)) && tt_value_set(a, map, "parts", tt_value_int(a, s->parts)) &&
         add_place(map, s, data, n, a) && tt_value_set(a, map, "token_buffer", tokens);
    return ok ? map : NULL;
}

struct tt_value *tt_rest_value(const struct tt_rest *rest, const int32_t *buffer, size_t nbuffer, const struct tt_value *data,
                               int64_t n, struct tt_arena *a)
{
    struct tt_value *list = tt_value_list(a);
    for (size_t i = rest->at; i < rest->n; i++) {
        const struct tt_stream *s = &rest->streams[i];
        struct tt_value *v = i == rest->at ? stream_value(s, buffer, nbuffer, data, n, a)
                                           : stream_value(s, s->buffer.id, s->buffer.n, s->data, n, a);
        if (!tt_value_append(a, list, v))
            return NULL;
    }
    return list;
}
