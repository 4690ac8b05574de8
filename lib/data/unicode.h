/* lib/data/unicode.h: the questions about characters that a tokenizer asks, answered as the reference's libraries answer them.
 *
 * Hugging Face tokenizers 0.23 splits with Oniguruma (Unicode 16), normalizes with tables of Unicode 9 or so, and trims with Rust's
 * regex; Debian's PCRE2 and utf8proc know Unicode 14. The tables here make up the difference, so that a token never depends on
 * which of the two is installed. Found by asking the reference about every code point. */
#ifndef TT_DATA_UNICODE_H
#define TT_DATA_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "value/utf8.h"

/* Code points that came after Unicode 14, with the general category that Oniguruma gives them; ordered. */
struct tt_unicode_range {
    uint32_t first, last;
    char category[3];
};
extern const struct tt_unicode_range tt_unicode_newer[];
extern const size_t tt_unicode_nnewer;

/* What the reference's normalizers do not know: such a code point stays as it is and nothing moves or joins across it. */
bool tt_unicode_inert(uint32_t cp);

bool tt_unicode_is_white(uint32_t cp); /* property White_Space: \s of every regex there */
bool tt_unicode_is_word(uint32_t cp);  /* \w of Rust's regex: alphabetic, marks, decimal digits, connectors, joiners */

/* The code point at s, of which n > 0 bytes of valid UTF-8 are there, and its length. */
static inline uint32_t tt_utf8_get(const char *s, size_t *len)
{
    const unsigned char *u = (const unsigned char *)s;
    if (u[0] < 0x80) {
        *len = 1;
        return u[0];
    }
    *len = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
    uint32_t cp = u[0] & (0x7fu >> *len);
    for (size_t i = 1; i < *len; i++)
        cp = cp << 6 | (u[i] & 0x3fu);
    return cp;
}

/* Where the first byte lies that is not UTF-8; n where all are. */
size_t tt_utf8_check(const char *s, size_t n);
bool tt_ascii_only(const char *s, size_t n);

#endif
