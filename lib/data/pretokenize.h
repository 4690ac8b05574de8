/* lib/data/pretokenize.h: the pre-tokenizer of a tokenizer.json: a text into the words that BPE merges within.
 *
 * Every type becomes a few plain steps: cut at the matches of a pattern, put a mark in front, write bytes as characters. */
#ifndef TT_DATA_PRETOKENIZE_H
#define TT_DATA_PRETOKENIZE_H

#include "base/buf.h"
#include "base/err.h"
#include "data/pieces.h"
#include "data/regex.h"
#include "value/value.h"

struct tt_pretok_step;

struct tt_pretok {
    struct tt_pretok_step *steps;
    int n;
};

/* v: the field's value; NULL or null: none. TT_EUNSUPPORTED names a type that titan does not have. */
TT_MUST_CHECK tt_status tt_pretok_init(struct tt_pretok *out, const struct tt_value *v, const char *where, struct tt_err *err);
void tt_pretok_release(struct tt_pretok *pretok);

/* Metaspace's "prepend_scheme" (or the older "add_prefix_space"): which pieces get a mark in front. */
enum tt_prepend { TT_PREPEND_NEVER, TT_PREPEND_FIRST, TT_PREPEND_ALWAYS };
TT_MUST_CHECK tt_status tt_prepend_read(enum tt_prepend *out, const struct tt_value *v, const char *where, struct tt_err *err);

TT_MUST_CHECK tt_status tt_pretokenize(const struct tt_pretok *pretok, struct tt_regex_scratch *scratch, struct tt_pieces *ps,
                                       struct tt_err *err);

/* Byte-level text: each byte is a printable character of its own (GPT-2's map: itself where it is printable Latin-1, else the next
 * of U+0100...). The inverse takes text whose every character stands for a byte; anything else is false, out as before. */
void tt_bytelevel_put(struct tt_buf *out, const char *bytes, size_t n);
bool tt_bytelevel_get(struct tt_buf *out, const char *s, size_t n);

#endif
