/* lib/data/normalize.h: the normalizer of a tokenizer.json: none, NFC, NFD, NFKC, NFKD, or a sequence of them. */
#ifndef TT_DATA_NORMALIZE_H
#define TT_DATA_NORMALIZE_H

#include "base/buf.h"
#include "base/err.h"
#include "data/pieces.h"
#include "value/value.h"

enum { TT_NORMALIZERS_MAX = 8 };

struct tt_normalizer {
    int n;
    int form[TT_NORMALIZERS_MAX]; /* rows of the table in normalize.c, in the order in which they are applied */
};

/* v: the field's value; NULL or null: none. TT_EUNSUPPORTED names a type that titan does not have. */
TT_MUST_CHECK tt_status tt_normalizer_init(struct tt_normalizer *out, const struct tt_value *v, const char *where,
                                           struct tt_err *err);

/* Appends the normal form of s, which is valid UTF-8. */
TT_MUST_CHECK tt_status tt_normalize(const struct tt_normalizer *norm, struct tt_buf *out, const char *s, size_t n,
                                     struct tt_err *err);

/* The same for every piece that is text. */
TT_MUST_CHECK tt_status tt_normalize_pieces(const struct tt_normalizer *norm, struct tt_pieces *ps, struct tt_err *err);

#endif
