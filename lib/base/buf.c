#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

void tt_buf_release(struct tt_buf *buf)
{
    if (!buf)
        return;
    free(buf->data);
    *buf = (struct tt_buf){ 0 };
}

uint8_t *tt_buf_reserve(struct tt_buf *buf, size_t nbytes)
{
    if (buf->failed)
        return NULL;
    if (nbytes > buf->cap - buf->len) {
        size_t cap = buf->cap ? buf->cap : 256;
        while (cap - buf->len < nbytes) {
            if (cap > SIZE_MAX / 2) {
                buf->failed = true;
                return NULL;
            }
            cap *= 2;
        }
        uint8_t *data = realloc(buf->data, cap);
        if (!data) {
            buf->failed = true;
            return NULL;
        }
        buf->data = data;
        buf->cap = cap;
    }
    return buf->data ? buf->data + buf->len : NULL;
}

void tt_buf_put(struct tt_buf *buf, const void *bytes, size_t nbytes)
{
    if (nbytes == 0)
        return;
    uint8_t *p = tt_buf_reserve(buf, nbytes);
    if (!p)
        return;
    memcpy(p, bytes, nbytes);
    buf->len += nbytes;
}

void tt_buf_fill(struct tt_buf *buf, uint8_t byte, size_t nbytes)
{
    if (nbytes == 0)
        return;
    uint8_t *p = tt_buf_reserve(buf, nbytes);
    if (!p)
        return;
    memset(p, byte, nbytes);
    buf->len += nbytes;
}

void tt_buf_byte(struct tt_buf *buf, uint8_t byte) { tt_buf_put(buf, &byte, 1); }
void tt_buf_str(struct tt_buf *buf, const char *s) { tt_buf_put(buf, s, strlen(s)); }

void tt_buf_le16(struct tt_buf *buf, uint16_t v)
{
    uint8_t b[2];
    tt_store_le16(b, v);
    tt_buf_put(buf, b, sizeof b);
}

void tt_buf_le32(struct tt_buf *buf, uint32_t v)
{
    uint8_t b[4];
    tt_store_le32(b, v);
    tt_buf_put(buf, b, sizeof b);
}

void tt_buf_le64(struct tt_buf *buf, uint64_t v)
{
    uint8_t b[8];
    tt_store_le64(b, v);
    tt_buf_put(buf, b, sizeof b);
}

void tt_buf_printf(struct tt_buf *buf, const char *fmt, ...)
{
    va_list ap, again;

    va_start(ap, fmt);
    va_copy(again, ap);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    uint8_t *p = n < 0 ? NULL : tt_buf_reserve(buf, (size_t)n + 1);
    if (p) {
        vsnprintf((char *)p, (size_t)n + 1, fmt, again);
        buf->len += (size_t)n;
    }
    va_end(again);
}

const char *tt_buf_cstr(struct tt_buf *buf)
{
    uint8_t *p = tt_buf_reserve(buf, 1);
    if (!p)
        return "";
    *p = 0;
    return (const char *)buf->data;
}

tt_status tt_buf_check(const struct tt_buf *buf, const char *what, struct tt_err *err)
{
    return buf->failed ? tt_err_nomem(err, buf->cap, what) : TT_OK;
}
