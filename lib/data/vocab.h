/* lib/data/vocab.h: the tokens that a model knows and their ids. */
#ifndef TT_DATA_VOCAB_H
#define TT_DATA_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "data/tokenizer.h"
#include "value/value.h"

struct tt_vocab_token {
    const char *s;
    size_t n;
    int32_t id;
};

/* A zeroed struct is empty. */
struct tt_vocab {
    struct tt_arena arena;
    struct tt_map ids;            /* token to id; keys in arena */
    struct tt_vocab_token *by_id; /* ordered by id */
    size_t n;
};

/* "vocab" of a tokenizer.json's model: {"token": id, ...}; nothing of it is kept. out is a zeroed struct. */
TT_MUST_CHECK tt_status tt_vocab_read(struct tt_vocab *out, const struct tt_value *model, const char *where, struct tt_err *err);
void tt_vocab_release(struct tt_vocab *vocab);

int64_t tt_vocab_nids(const struct tt_vocab *vocab);                             /* the largest id and one */
int32_t tt_vocab_id(const struct tt_vocab *vocab, const char *token, size_t n);  /* TT_NO_TOKEN: none */
const char *tt_vocab_token(const struct tt_vocab *vocab, int32_t id, size_t *n); /* NULL: none */

#endif
