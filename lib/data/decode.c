/* Ids back to text, whole or as they come. */
#include <stdlib.h>
#include <string.h>

#include "data/tokenizer_private.h"

static void collect(struct tt_strings *s, const struct tt_tokenizer *tok, const int32_t *id, size_t n, bool skip_special)
{
    for (size_t i = 0; i < n; i++) {
        const struct tt_added_token *added = tt_added_by_id(&tok->added, id[i]);
        size_t len = 0;
        const char *text = added ? added->normal : tt_vocab_token(&tok->vocab, id[i], &len);
        if (added)
            len = added->nnormal;
        if (!text || (skip_special && tt_added_is_special(&tok->added, text, len)))
            continue;
        if (tok->decoder.spaces && s->n > 0)
            tt_buf_byte(&s->text, ' ');
        tt_buf_put(&s->text, text, len);
        s->end[s->n++] = s->text.len;
    }
}

tt_status tt_decode(const struct tt_tokenizer *tok, struct tt_buf *out, const int32_t *id, size_t n, bool skip_special,
                    struct tt_err *err)
{
    struct tt_strings s = { .end = calloc(n + 1, sizeof *s.end) };
    if (!s.end)
        return tt_err_nomem(err, n * sizeof *s.end, "decoding");
    collect(&s, tok, id, n, skip_special);
    tt_status st = tt_decoder_run(&tok->decoder, &s, err);
    if (st == TT_OK)
        st = tt_buf_check(&s.text, "decoded text", err);
    if (st == TT_OK && s.text.len > 0) {
        tt_buf_put(out, s.text.data, s.text.len);
        st = tt_buf_check(out, "decoded text", err);
    }
    tt_buf_release(&s.text);
    free(s.end);
    return st;
}

/* --- as they come ------------------------------------------------------------------------------------------------------ */

/* The text that is new is that of a window of ids without that of the window's beginning, which has gone out: what an id means can
 * depend on those before it. */
struct tt_decode_stream {
    const struct tt_tokenizer *tok;
    bool skip_special;
    struct tt_tokens ids;        /* the window */
    struct tt_buf before, after; /* the text of its first nbefore ids, which has gone out; that of all */
    size_t nbefore;
};

tt_status tt_decode_stream_new(struct tt_decode_stream **out, const struct tt_tokenizer *tok, bool skip_special, struct tt_err *err)
{
    struct tt_decode_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return tt_err_nomem(err, sizeof *stream, "decoding");
    stream->tok = tok;
    stream->skip_special = skip_special;
    *out = stream;
    return TT_OK;
}

void tt_decode_stream_free(struct tt_decode_stream *stream)
{
    if (!stream)
        return;
    tt_tokens_release(&stream->ids);
    tt_buf_release(&stream->before);
    tt_buf_release(&stream->after);
    free(stream);
}

static tt_status decode_window(const struct tt_decode_stream *stream, struct tt_buf *out, struct tt_err *err)
{
    tt_buf_clear(out);
    return tt_decode(stream->tok, out, stream->ids.id, stream->ids.n, stream->skip_special, err);
}

/* Whether it ends with U+FFFD, which the next id may turn into a character. */
static bool ends_broken(const struct tt_buf *text)
{
    return text->len >= 3 && memcmp(text->data + text->len - 3, "\xef\xbf\xbd", 3) == 0;
}

static tt_status put_new(const struct tt_decode_stream *stream, struct tt_buf *out, struct tt_err *err)
{
    const size_t n = stream->before.len;
    if (n > 0 && memcmp(stream->before.data, stream->after.data, n) != 0)
        return tt_err_set(err, TT_EUNSUPPORTED, "token %d changes the text of those before it, which has gone out",
                          stream->ids.id[stream->ids.n - 1]);
    tt_buf_put(out, stream->after.data + n, stream->after.len - n);
    return tt_buf_check(out, "decoded text", err);
}

tt_status tt_decode_stream_put(struct tt_decode_stream *stream, struct tt_buf *out, int32_t id, struct tt_err *err)
{
    tt_status st = TT_OK;
    if (stream->before.len == 0 && stream->ids.n > 0) {
        st = decode_window(stream, &stream->before, err);
        if (st == TT_OK && ends_broken(&stream->before))
            tt_buf_clear(&stream->before);
        else
            stream->nbefore = stream->ids.n;
    }
    if (st == TT_OK)
        st = tt_tokens_append(&stream->ids, &id, 1, err);
    if (st == TT_OK)
        st = decode_window(stream, &stream->after, err);
    if (st != TT_OK || stream->after.len <= stream->before.len || ends_broken(&stream->after))
        return st;
    if ((st = put_new(stream, out, err)) != TT_OK)
        return st;
    const size_t gone = stream->nbefore;
    stream->ids.n -= gone;
    memmove(stream->ids.id, stream->ids.id + gone, stream->ids.n * sizeof *stream->ids.id);
    stream->nbefore = stream->ids.n;
    return decode_window(stream, &stream->before, err);
}

tt_status tt_decode_stream_end(struct tt_decode_stream *stream, struct tt_buf *out, struct tt_err *err)
{
    tt_status st = decode_window(stream, &stream->after, err);
    if (st == TT_OK && stream->after.len > stream->before.len)
        st = put_new(stream, out, err);
    stream->ids.n = stream->nbefore = 0;
    tt_buf_clear(&stream->before);
    return st;
}
