/* Ids back to text. */
#include <stdlib.h>
#include <string.h>

#include "data/tokenizer_private.h"
#include "data/unicode.h"

/* Strings one after another in a buffer; end[i] is where the i-th ends. */
struct strings {
    struct tt_buf text;
    size_t *end;
    size_t n;
};

static void strings_release(struct strings *s)
{
    tt_buf_release(&s->text);
    free(s->end);
}

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

/* Each string's bytes, or the string itself where some character of it stands for none; then all of it as UTF-8. */
static void byte_level(struct strings *s)
{
    struct tt_buf bytes = { 0 };
    for (size_t i = 0, at = 0; i < s->n; at = s->end[i++]) {
        const char *each = (const char *)s->text.data + at;
        if (!tt_bytelevel_get(&bytes, each, s->end[i] - at))
            tt_buf_put(&bytes, each, s->end[i] - at);
    }
    tt_buf_clear(&s->text);
    put_lossy(&s->text, (const char *)bytes.data, bytes.len);
    s->text.failed |= bytes.failed;
    tt_buf_release(&bytes);
}

static void fuse(struct strings *s)
{
    if (s->n > 0)
        s->end[0] = s->text.len;
    s->n = s->n > 0;
}

static void collect(struct strings *s, const struct tt_tokenizer *tok, const int32_t *id, size_t n, bool skip_special)
{
    for (size_t i = 0; i < n; i++) {
        const struct tt_added_token *added = tt_added_by_id(&tok->added, id[i]);
        size_t len = 0;
        const char *text = added ? added->normal : tt_bpe_token(tok->bpe, id[i], &len);
        if (!text || (added && added->special && skip_special))
            continue;
        if (tok->ndecoder == 0 && s->n > 0)
            tt_buf_byte(&s->text, ' ');
        tt_buf_put(&s->text, text, added ? added->nnormal : len);
        s->end[s->n++] = s->text.len;
    }
}

tt_status tt_decode(const struct tt_tokenizer *tok, struct tt_buf *out, const int32_t *id, size_t n, bool skip_special,
                    struct tt_err *err)
{
    if (tok->no_decoder)
        return tt_err_set(err, TT_EUNSUPPORTED, "decoder \"%s\" is not supported (ByteLevel, Fuse, Sequence are)", tok->no_decoder);
    struct strings s = { .end = calloc(n + 1, sizeof *s.end) };
    if (!s.end)
        return tt_err_nomem(err, n * sizeof *s.end, "decoding");
    collect(&s, tok, id, n, skip_special);
    for (int i = 0; i < tok->ndecoder; i++) {
        if (tok->decoder[i] == TT_DECODE_BYTELEVEL)
            byte_level(&s);
        fuse(&s);
    }
    if (s.text.len)
        tt_buf_put(out, s.text.data, s.text.len);
    out->failed |= s.text.failed;
    strings_release(&s);
    return tt_buf_check(out, "decoded text", err);
}
