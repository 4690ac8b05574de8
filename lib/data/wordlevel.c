#include "data/wordlevel.h"

#include <stdlib.h>
#include <string.h>

#include "data/fields.h"

tt_status tt_wordlevel_init(struct tt_wordlevel *out, const struct tt_vocab *vocab, const struct tt_value *model, const char *where,
                            struct tt_err *err)
{
    const char *unk = "";
    size_t n = 0;
    const tt_status st = tt_field_str(&unk, &n, model, "unk_token", TT_REQUIRED, where, err);
    if (st != TT_OK)
        return st;
    struct tt_wordlevel words = { .where = strdup(where), .unk = strdup(unk), .unk_id = tt_vocab_id(vocab, unk, n) };
    if (!words.where || !words.unk) {
        tt_wordlevel_release(&words);
        return tt_err_nomem(err, n, "a token");
    }
    *out = words;
    return TT_OK;
}

void tt_wordlevel_release(struct tt_wordlevel *words)
{
    free(words->where);
    free(words->unk);
    *words = (struct tt_wordlevel){ 0 };
}

tt_status tt_wordlevel_word(const struct tt_wordlevel *words, const struct tt_vocab *vocab, const char *word, size_t n,
                            struct tt_tokens *out, struct tt_err *err)
{
    int32_t id = tt_vocab_id(vocab, word, n);
    if (id == TT_NO_TOKEN)
        id = words->unk_id;
    if (id == TT_NO_TOKEN)
        return tt_err_set(err, TT_EFORMAT, "%s: \"%.*s\" is not in vocab, nor is unk_token \"%s\" to stand for it", words->where,
                          n > 60 ? 60 : (int)n, word, words->unk);
    return tt_tokens_append(out, &id, 1, err);
}
