/* lib/data/tokenizer_private.h: the parts of a tokenizer, for the files that read (tokenizer_json.c, tokenizer_config.c), run
 * (tokenizer.c) and undo it (decode.c). */
#ifndef TT_DATA_TOKENIZER_PRIVATE_H
#define TT_DATA_TOKENIZER_PRIVATE_H

#include "data/added.h"
#include "data/bpe.h"
#include "data/decoder.h"
#include "data/fields.h"
#include "data/normalize.h"
#include "data/pretokenize.h"
#include "data/tokenizer.h"
#include "data/vocab.h"
#include "data/wordlevel.h"
#include "value/value.h"

struct tt_tokenizer {
    const char *source;
    struct tt_added added;
    struct tt_normalizer norm;
    struct tt_pretok pretok;
    struct tt_vocab vocab;
    struct tt_bpe *bpe; /* NULL: words */
    struct tt_wordlevel words;
    struct tt_tokens prefix, suffix; /* what the post-processor puts around a text */
    struct tt_decoder decoder;
    int32_t bos, eos;     /* TT_NO_TOKEN: unset */
    bool add_bos, add_eos;   /* tokenizer_config.json's add_bos_token, add_eos_token */
    bool has_bos, has_eos;   /* the post-processor adds it already */
};

/* The pipeline, from a tokenizer.json that was parsed; nothing of root is kept. tok is zeroed. */
TT_MUST_CHECK tt_status tt_tokenizer_read_json(struct tt_tokenizer *tok, const struct tt_value *root, const char *path,
                                               struct tt_err *err);

/* tokenizer_config.json on top of it (NULL: there is none): special tokens, BOS and EOS. */
TT_MUST_CHECK tt_status tt_tokenizer_read_config(struct tt_tokenizer *tok, const struct tt_value *root, const char *path,
                                                 struct tt_err *err);

/* An added token's fields from JSON. `normalized` has its default on entry. */
TT_MUST_CHECK tt_status tt_added_token_read(struct tt_added_token *out, const struct tt_value *v, enum tt_need need,
                                            const char *where, struct tt_err *err);

#endif
