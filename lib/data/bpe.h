/* lib/data/bpe.h: byte pair encoding: a vocabulary and an ordered list of pairs to merge.
 *
 * A word begins as its characters; as long as two neighbours are a pair of the list, the earliest such pair (the leftmost of equal
 * ones) becomes one token. Short words try all places, long ones keep the places in a heap, so that a word of n characters takes
 * n log n steps. */
#ifndef TT_DATA_BPE_H
#define TT_DATA_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/tokenizer.h"
#include "data/vocab.h"
#include "value/value.h"

struct tt_bpe;
struct tt_bpe_scratch; /* of one thread: symbols under way and a cache of words */

/* model: the field of a tokenizer.json, vocab its vocabulary, which is borrowed. Settings that change tokens at random or that titan
 * does not have (dropout, continuing_subword_prefix, end_of_word_suffix) are TT_EUNSUPPORTED. */
TT_MUST_CHECK tt_status tt_bpe_new(struct tt_bpe **out, const struct tt_vocab *vocab, const struct tt_value *model,
                                   const char *where, struct tt_err *err);
void tt_bpe_free(struct tt_bpe *bpe);

TT_MUST_CHECK tt_status tt_bpe_scratch_new(struct tt_bpe_scratch **out, struct tt_err *err);
void tt_bpe_scratch_free(struct tt_bpe_scratch *scratch);

/* Appends the tokens of one word, valid UTF-8. A scratch serves one bpe only. */
TT_MUST_CHECK tt_status tt_bpe_word(const struct tt_bpe *bpe, struct tt_bpe_scratch *scratch, const char *word, size_t n,
                                    struct tt_tokens *out, struct tt_err *err);

#endif
