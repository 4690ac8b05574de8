#include "ckpt/show.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "value/utf8.h"

/* The length of the control character at s, or of a byte that is no UTF-8; 0: it is neither. */
static size_t odd_len(const char *s, size_t n)
{
    const uint8_t c = (uint8_t)s[0];
    if (c < 0x20 || c == 0x7f || tt_utf8_len(s, n) == 0)
        return 1;
    return c == 0xc2 && (uint8_t)s[1] < 0xa0 ? 2 : 0; /* C1 */
}

void tt_show_str(struct tt_buf *out, const char *s, size_t nbytes)
{
    static const char escapes[32] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r' };

    tt_buf_byte(out, '"');
    for (size_t i = 0; i < nbytes;) {
        const uint8_t c = (uint8_t)s[i];
        const size_t odd = odd_len(s + i, nbytes - i);
        if (odd == 1 && c >= 0x80)
            tt_buf_printf(out, "\\udc%02x", c); /* Python's surrogateescape */
        else if (odd == 1 && c < 0x20 && escapes[c])
            tt_buf_printf(out, "\\%c", escapes[c]);
        else if (odd)
            tt_buf_printf(out, "\\u%04x", odd == 2 ? (uint8_t)s[i + 1] : c);
        else if (c == '"' || c == '\\')
            tt_buf_printf(out, "\\%c", c);
        else
            tt_buf_put(out, s + i, tt_utf8_len(s + i, nbytes - i));
        i += odd ? odd : tt_utf8_len(s + i, nbytes - i);
    }
    tt_buf_byte(out, '"');
}

/* Nearly all keys are ASCII without blanks: *n is how many bytes of it are. */
static bool is_plain(const char *key, size_t *n)
{
    const uint8_t *p = (const uint8_t *)key;
    while (*p > ' ' && *p < 0x7f)
        p++;
    *n = (size_t)(p - (const uint8_t *)key);
    return *p == 0 && *n && key[0] != '"';
}

int tt_show_key(struct tt_buf *out, const char *key)
{
    const size_t begin = out->len;
    size_t n = 0;

    if (is_plain(key, &n)) {
        tt_buf_put(out, key, n);
        return (int)n;
    }
    const size_t ascii = n;
    bool plain = key[0] && key[0] != '"';
    n += strlen(key + n);
    for (size_t i = ascii; i < n && plain; i += tt_utf8_len(key + i, n - i))
        plain = key[i] != ' ' && odd_len(key + i, n - i) == 0;
    if (plain)
        tt_buf_put(out, key, n);
    else
        tt_show_str(out, key, n);
    return out->failed ? 0 : tt_show_width((const char *)out->data + begin, out->len - begin);
}

int tt_show_key_width(const char *key)
{
    struct tt_buf text = { 0 };
    size_t n = 0;

    if (is_plain(key, &n))
        return (int)n;
    const int width = tt_show_key(&text, key);
    tt_buf_release(&text);
    return width;
}

void tt_show_blanks(struct tt_buf *out, int n) { tt_buf_fill(out, ' ', n > 0 ? (size_t)n : 0); }

void tt_show_u64(struct tt_buf *out, int width, uint64_t v)
{
    char digits[20];
    int n = 0;

    do
        digits[sizeof digits - 1 - (size_t)n++] = (char)('0' + v % 10);
    while (v /= 10);
    tt_show_blanks(out, width - n);
    tt_buf_put(out, digits + sizeof digits - n, (size_t)n);
}

void tt_show_line(struct tt_buf *out, const char *line)
{
    const size_t n = strlen(line);
    for (size_t i = 0, k; i < n; i += k) {
        const size_t odd = odd_len(line + i, n - i);
        k = odd ? odd : tt_utf8_len(line + i, n - i);
        if (odd == 2)
            tt_buf_printf(out, "\\u%04x", (uint8_t)line[i + 1]);
        else if (odd)
            tt_buf_printf(out, "\\x%02x", (uint8_t)line[i]);
        else
            tt_buf_put(out, line + i, k);
    }
}

int tt_show_width(const char *s, size_t nbytes)
{
    int width = 0;
    for (size_t i = 0; i < nbytes; i++)
        width += ((uint8_t)s[i] & 0xc0) != 0x80;
    return width;
}

void tt_show_pad(struct tt_buf *out, size_t begin, int width)
{
    const int now = out->data ? tt_show_width((const char *)out->data + begin, out->len - begin) : 0;
    tt_buf_fill(out, ' ', now < width ? (size_t)(width - now) : 0);
}

void tt_show_region(struct tt_buf *out, int ndim, const int64_t *offsets, const int64_t *sizes)
{
    tt_buf_byte(out, '[');
    for (int d = 0; d < ndim; d++)
        tt_buf_printf(out, "%s%" PRId64 ":%" PRId64, d ? "," : "", offsets[d], offsets[d] + sizes[d]);
    tt_buf_byte(out, ']');
}

tt_status tt_show_write(FILE *out, struct tt_buf *text, struct tt_err *err)
{
    tt_status st = tt_buf_check(text, "what is to be printed", err);

    errno = 0;
    if (st == TT_OK && text->len && fwrite(text->data, 1, text->len, out) != text->len) {
        st = tt_err_errno(err, errno ? errno : EIO, "cannot write to the standard output");
        clearerr(out);
    }
    tt_buf_clear(text);
    return st;
}

uint64_t tt_entry_nbytes(const struct tt_entry *e)
{
    int64_t numel = 0;
    if (e->kind != TT_ENTRY_TENSOR || !tt_numel(e->ndim, e->shape, &numel))
        return 0;
    return (uint64_t)numel * tt_dtype_nbytes(e->dtype);
}
