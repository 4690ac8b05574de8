/* lib/data/normalize.h: a tokenizer.json's normalizer: NFC, NFD, NFKC, NFKD, Replace, Prepend, Strip, or a sequence of them. */
#ifndef TT_DATA_NORMALIZE_H
#define TT_DATA_NORMALIZE_H

#include "base/buf.h"
#include "base/err.h"
#include "data/pieces.h"
#include "data/regex.h"
#include "value/value.h"

struct tt_norm_step;

/* A zeroed struct leaves text as it is. */
struct tt_normalizer {
    struct tt_norm_step *steps; /* in the order in which they are applied */
    int n;
};

/* v: the field's value; NULL or null: none. TT_EUNSUPPORTED names a type that titan does not have. */
TT_MUST_CHECK tt_status tt_normalizer_init(struct tt_normalizer *out, const struct tt_value *v, const char *where,
                                           struct tt_err *err);
void tt_normalizer_release(struct tt_normalizer *norm);

/* Appends the normal form of s, which is valid UTF-8. */
TT_MUST_CHECK tt_status tt_normalize(const struct tt_normalizer *norm, struct tt_regex_scratch *scratch, struct tt_buf *out,
                                     const char *s, size_t n, struct tt_err *err);

/* The same for every piece that is text. */
TT_MUST_CHECK tt_status tt_normalize_pieces(const struct tt_normalizer *norm, struct tt_regex_scratch *scratch,
                                            struct tt_pieces *ps, struct tt_err *err);

#endif
