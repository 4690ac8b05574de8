/* lib/data/decoder.h: the decoder of a tokenizer.json: the texts of tokens into one text. Its steps turn a list of strings into
 * another: ByteLevel, ByteFallback, Fuse, Metaspace, Replace, Strip, or a sequence of them. */
#ifndef TT_DATA_DECODER_H
#define TT_DATA_DECODER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "value/value.h"

struct tt_decode_step;

/* A zeroed struct joins. */
struct tt_decoder {
    struct tt_decode_step *steps;
    int n;
    bool spaces;       /* no decoder: joined with spaces between */
    char *unsupported; /* names a type that titan does not have: an error once something is to be decoded */
};

/* v: the field's value; NULL or null: none. */
TT_MUST_CHECK tt_status tt_decoder_init(struct tt_decoder *out, const struct tt_value *v, const char *where, struct tt_err *err);
void tt_decoder_release(struct tt_decoder *dec);

/* Strings one after another in a buffer; end[i] is where the i-th ends. */
struct tt_strings {
    struct tt_buf text;
    size_t *end;
    size_t n;
};

/* In place; s->text is the result. TT_EUNSUPPORTED where dec->unsupported. */
TT_MUST_CHECK tt_status tt_decoder_run(const struct tt_decoder *dec, struct tt_strings *s, struct tt_err *err);

#endif
