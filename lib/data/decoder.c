#include "data/decoder.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "data/fields.h"
#include "data/pretokenize.h"
#include "data/regex.h"
#include "data/steps.h"
#include "data/unicode.h"

enum kind { BYTES, FUSE, METASPACE, REPLACE, BYTE_FALLBACK, STRIP };

struct tt_decode_step {
    enum kind kind;
    char mark[4]; /* METASPACE: what becomes a space. STRIP: what goes */
    uint8_t nmark;
    enum tt_prepend scheme; /* METASPACE: unless never, those of the first string vanish */
    int64_t start, stop;    /* STRIP: so many at most */
    struct tt_replacement replacement; /* REPLACE */
};

/* --- reading it from JSON ---------------------------------------------------------------------------------------------- */

static tt_status read_plain(struct tt_decode_step *step, const struct tt_value *v, const char *where, struct tt_err *err)
{
    (void)step, (void)v, (void)where, (void)err;
    return TT_OK;
}

static tt_status read_metaspace(struct tt_decode_step *step, const struct tt_value *v, const char *where, struct tt_err *err)
{
    const tt_status st = tt_field_char(step->mark, &step->nmark, v, "replacement", where, err);
    return st == TT_OK ? tt_prepend_read(&step->scheme, v, where, err) : st;
}

static tt_status read_replace(struct tt_decode_step *step, const struct tt_value *v, const char *where, struct tt_err *err)
{
    return tt_replacement_read(&step->replacement, v, where, err);
}

static tt_status read_strip(struct tt_decode_step *step, const struct tt_value *v, const char *where, struct tt_err *err)
{
    tt_status st = tt_field_char(step->mark, &step->nmark, v, "content", where, err);
    if (st == TT_OK)
        st = tt_field_count(&step->start, v, "start", where, err);
    return st == TT_OK ? tt_field_count(&step->stop, v, "stop", where, err) : st;
}

static const struct {
    const char *type;
    enum kind kind;
    tt_status (*read)(struct tt_decode_step *, const struct tt_value *, const char *where, struct tt_err *);
} types[] = {
    { "ByteLevel", BYTES, read_plain },   { "Fuse", FUSE, read_plain },   { "ByteFallback", BYTE_FALLBACK, read_plain },
    { "Replace", REPLACE, read_replace }, { "Strip", STRIP, read_strip }, { "Metaspace", METASPACE, read_metaspace },
};

static tt_status note_unsupported(struct tt_decoder *dec, const char *type, const char *where, struct tt_err *err)
{
    struct tt_arena names = { 0 };
    const char *why = tt_arena_printf(&names,
                                      "%s: decoder \"%s\" is not supported (ByteLevel, Fuse, ByteFallback, Replace, Strip, "
                                      "Metaspace, Sequence are)",
                                      where, type);
    if (!dec->unsupported)
        dec->unsupported = why ? strdup(why) : NULL;
    tt_arena_release(&names);
    return dec->unsupported ? TT_OK : tt_err_nomem(err, 0, "a name");
}

static tt_status add(void *out, const char *type, const struct tt_value *v, const char *where, struct tt_err *err)
{
    struct tt_decoder *dec = out;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i].type) == 0) {
            struct tt_decode_step *step = &dec->steps[dec->n++];
            step->kind = types[i].kind;
            return types[i].read(step, v, where, err);
        }
    return note_unsupported(dec, type, where, err);
}

tt_status tt_decoder_init(struct tt_decoder *out, const struct tt_value *v, const char *where, struct tt_err *err)
{
    struct tt_decoder dec = { .spaces = !v || v->kind == TT_V_NULL };
    if (!dec.spaces) {
        if (!(dec.steps = calloc(TT_STEPS_MAX, sizeof *dec.steps)))
            return tt_err_nomem(err, TT_STEPS_MAX * sizeof *dec.steps, "a decoder");
        const tt_status st = tt_steps_read(&dec, add, v, "decoders", where, err);
        if (st != TT_OK) {
            tt_decoder_release(&dec);
            return st;
        }
    }
    *out = dec;
    return TT_OK;
}

void tt_decoder_release(struct tt_decoder *dec)
{
    for (int i = 0; i < dec->n; i++)
        tt_replacement_release(&dec->steps[i].replacement);
    free(dec->steps);
    free(dec->unsupported);
    *dec = (struct tt_decoder){ 0 };
}

/* --- running it -------------------------------------------------------------------------------------------------------- */

/* How many bytes at s belong to the start of a character that ends too early or goes wrong: what one U+FFFD stands for. */
static size_t broken(const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    const size_t want = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
    if (u[0] < 0xc2 || u[0] > 0xf4 || n < 2)
        return 1;
    const unsigned lo = u[0] == 0xe0 ? 0xa0 : u[0] == 0xf0 ? 0x90 : 0x80, hi = u[0] == 0xed ? 0x9f : u[0] == 0xf4 ? 0x8f : 0xbf;
    if (u[1] < lo || u[1] > hi)
        return 1;
    size_t i = 2;
    while (i < want && i < n && (u[i] & 0xc0) == 0x80)
        i++;
    return i;
}

static void put_lossy(struct tt_buf *out, const char *s, size_t n)
{
    while (n > 0) {
        const size_t good = tt_utf8_check(s, n);
        tt_buf_put(out, s, good);
        s += good;
        n -= good;
        if (n == 0)
            return;
        const size_t bad = broken(s, n);
        tt_buf_str(out, "\xef\xbf\xbd");
        s += bad;
        n -= bad;
    }
}

/* Each string's bytes, or the string itself where some character of it stands for none; then all of it as UTF-8, one string. */
static void run_bytes(struct tt_strings *s, struct tt_buf *out)
{
    struct tt_buf bytes = { 0 };
    for (size_t i = 0, at = 0; i < s->n; at = s->end[i++]) {
        const char *each = (const char *)s->text.data + at;
        if (!tt_bytelevel_get(&bytes, each, s->end[i] - at))
            tt_buf_put(&bytes, each, s->end[i] - at);
    }
    put_lossy(out, (const char *)bytes.data, bytes.len);
    out->failed |= bytes.failed;
    tt_buf_release(&bytes);
}

static void fuse(struct tt_strings *s, size_t len)
{
    if (s->n > 0)
        s->end[0] = len;
    s->n = s->n > 0;
}

static bool marked(const struct tt_decode_step *step, const char *s, size_t n)
{
    return n >= step->nmark && memcmp(s, step->mark, step->nmark) == 0;
}

static void unmark(const struct tt_decode_step *step, struct tt_buf *out, const char *s, size_t n, bool keep)
{
    for (size_t i = 0; i < n;) {
        if (!marked(step, s + i, n - i)) {
            tt_buf_byte(out, (uint8_t)s[i++]);
            continue;
        }
        if (keep)
            tt_buf_byte(out, ' ');
        i += step->nmark;
    }
}

static void strip(const struct tt_decode_step *step, struct tt_buf *out, const char *s, size_t n)
{
    size_t at = 0;
    for (int64_t i = 0; i < step->start && marked(step, s + at, n - at); i++)
        at += step->nmark;
    for (int64_t i = 0; i < step->stop && n - at >= step->nmark && marked(step, s + n - step->nmark, step->nmark); i++)
        n -= step->nmark;
    tt_buf_put(out, s + at, n - at);
}

/* <0xE2>: a byte that had no token of its own; -1: something else. */
static int fallen_back(const char *s, size_t n)
{
    static const char hex[] = "0123456789abcdefABCDEF";
    if (n != 6 || memcmp(s, "<0x", 3) != 0 || s[5] != '>' || !s[3] || !s[4] || !strchr(hex, s[4]) ||
        !(strchr(hex, s[3]) || s[3] == '+')) /* the reference's parser of numbers takes a sign */
        return -1;
    const char digits[] = { s[3], s[4], '\0' };
    return (int)strtol(digits, NULL, 16);
}

/* Bytes next to each other become one string, or where that is not UTF-8 one of U+FFFD each. */
static void flush_bytes(struct tt_strings *s, size_t *n, struct tt_buf *out, struct tt_buf *bytes)
{
    const bool good = tt_utf8_check((const char *)bytes->data, bytes->len) == bytes->len;
    if (good)
        tt_buf_put(out, bytes->data, bytes->len);
    for (size_t i = 0; i < bytes->len; i++) {
        if (!good)
            tt_buf_str(out, "\xef\xbf\xbd");
        if (!good || i == 0)
            s->end[(*n)++] = out->len;
    }
    tt_buf_clear(bytes);
}

static void run_byte_fallback(struct tt_strings *s, struct tt_buf *out)
{
    struct tt_buf bytes = { 0 };
    size_t n = 0, at = 0; /* n never gets ahead of i */
    for (size_t i = 0; i < s->n; i++) {
        const char *each = (const char *)s->text.data + at;
        const size_t len = s->end[i] - at;
        const int b = fallen_back(each, len);
        at += len;
        if (b >= 0) {
            tt_buf_byte(&bytes, (uint8_t)b);
            continue;
        }
        flush_bytes(s, &n, out, &bytes);
        tt_buf_put(out, each, len);
        s->end[n++] = out->len;
    }
    flush_bytes(s, &n, out, &bytes);
    s->n = n;
    out->failed |= bytes.failed;
    tt_buf_release(&bytes);
}

/* The steps that turn each string into one. */
static tt_status run_each(const struct tt_decode_step *step, struct tt_regex_scratch *scratch, struct tt_strings *s,
                          struct tt_buf *out, struct tt_err *err)
{
    tt_status st = TT_OK;
    for (size_t i = 0, at = 0; i < s->n && st == TT_OK; i++) {
        const char *each = s->text.len ? (const char *)s->text.data + at : "";
        const size_t len = s->end[i] - at;
        size_t head = 0;
        at += len;
        if (step->kind == REPLACE)
            st = tt_replace(&step->replacement, scratch, out, each, len, &head, err);
        else if (step->kind == STRIP)
            strip(step, out, each, len);
        else
            unmark(step, out, each, len, i > 0 || step->scheme == TT_PREPEND_NEVER);
        s->end[i] = out->len;
    }
    return st;
}

static tt_status run(const struct tt_decode_step *step, struct tt_regex_scratch *scratch, struct tt_strings *s, struct tt_buf *out,
                     struct tt_err *err)
{
    switch (step->kind) {
    case FUSE: fuse(s, s->text.len); return TT_OK;
    case BYTES: run_bytes(s, out); break;
    case BYTE_FALLBACK: run_byte_fallback(s, out); break;
    default: {
        const tt_status st = run_each(step, scratch, s, out, err);
        if (st != TT_OK)
            return st;
    }
    }
    const struct tt_buf old = s->text;
    s->text = *out;
    *out = old;
    tt_buf_clear(out);
    if (step->kind == BYTES)
        fuse(s, s->text.len);
    return TT_OK;
}

tt_status tt_decoder_run(const struct tt_decoder *dec, struct tt_strings *s, struct tt_err *err)
{
    if (dec->unsupported)
        return tt_err_set(err, TT_EUNSUPPORTED, "%s", dec->unsupported);
    struct tt_regex_scratch *scratch = NULL;
    struct tt_buf out = { 0 };
    tt_status st = TT_OK;
    for (int i = 0; i < dec->n && st == TT_OK; i++) {
        if (dec->steps[i].kind == REPLACE && !scratch)
            st = tt_regex_scratch_new(&scratch, err);
        if (st == TT_OK)
            st = run(&dec->steps[i], scratch, s, &out, err);
    }
    s->text.failed |= out.failed;
    tt_regex_scratch_free(scratch);
    tt_buf_release(&out);
    return st;
}
