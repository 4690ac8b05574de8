/* lib/base/buf.h: bytes that grow at the end.
 *
 * Appending cannot fail one call at a time: an allocation that fails sets `failed`, later appends do nothing, and the writer
 * asks once at the end with tt_buf_check. A zeroed struct is an empty buffer. */
#ifndef TT_BASE_BUF_H
#define TT_BASE_BUF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct tt_buf {
    uint8_t *data; /* NULL while nothing was appended */
    size_t len, cap;
    bool failed;
};

void tt_buf_release(struct tt_buf *buf);
static inline void tt_buf_clear(struct tt_buf *buf) { buf->len = 0; }

/* Room for nbytes more; NULL (and failed) where there is none. The bytes count as appended only after len is raised. */
uint8_t *tt_buf_reserve(struct tt_buf *buf, size_t nbytes);
void tt_buf_put(struct tt_buf *buf, const void *bytes, size_t nbytes);
void tt_buf_byte(struct tt_buf *buf, uint8_t byte);
void tt_buf_fill(struct tt_buf *buf, uint8_t byte, size_t nbytes);
void tt_buf_le16(struct tt_buf *buf, uint16_t v);
void tt_buf_le32(struct tt_buf *buf, uint32_t v);
void tt_buf_le64(struct tt_buf *buf, uint64_t v);
void tt_buf_str(struct tt_buf *buf, const char *s); /* without its NUL */
void tt_buf_printf(struct tt_buf *buf, const char *fmt, ...) TT_PRINTF(2, 3);

/* The content as a C string: puts a NUL behind it that does not count in len. "" where empty or failed. */
const char *tt_buf_cstr(struct tt_buf *buf);

TT_MUST_CHECK tt_status tt_buf_check(const struct tt_buf *buf, const char *what, struct tt_err *err);

#endif
