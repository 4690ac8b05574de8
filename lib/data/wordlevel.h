/* lib/data/wordlevel.h: a vocabulary of whole words: each piece of text is one token, or the unknown one. */
#ifndef TT_DATA_WORDLEVEL_H
#define TT_DATA_WORDLEVEL_H

#include "data/vocab.h"

/* A zeroed struct is empty. */
struct tt_wordlevel {
    char *where, *unk;
    int32_t unk_id; /* TT_NO_TOKEN: unk is not in the vocabulary, an error once it is needed */
};

/* model: the field of a tokenizer.json, {"type": "WordLevel", "vocab": ..., "unk_token": "<unk>"}; nothing of it is kept. */
TT_MUST_CHECK tt_status tt_wordlevel_init(struct tt_wordlevel *out, const struct tt_vocab *vocab, const struct tt_value *model,
                                          const char *where, struct tt_err *err);
void tt_wordlevel_release(struct tt_wordlevel *words);

/* Appends the word's token. */
TT_MUST_CHECK tt_status tt_wordlevel_word(const struct tt_wordlevel *words, const struct tt_vocab *vocab, const char *word,
                                          size_t n, struct tt_tokens *out, struct tt_err *err);

#endif
