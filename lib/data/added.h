/* lib/data/added.h: added and special tokens: texts that are found before anything else looks at the text, longest first from the
 * left, each becoming its one id. Those that are `normalized` are looked for in their normal form in the normalized text, the
 * others in the text as it came. */
#ifndef TT_DATA_ADDED_H
#define TT_DATA_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "data/normalize.h"
#include "data/pieces.h"
#include "data/vocab.h"

struct tt_added_token {
    const char *content, *normal; /* as given; as looked for if normalized, and as decoded */
    size_t n, nnormal;
    int32_t id;
    bool single_word;    /* not inside a word */
    bool lstrip, rstrip; /* takes the white space before or behind it with it */
    bool normalized, special;
    bool hidden; /* a later token has its id: it is not looked for, nor does the id mean it */
};

struct tt_added_trie;

/* A zeroed struct is empty. */
struct tt_added {
    struct tt_arena arena;
    struct tt_added_token *tokens;
    size_t n, cap;
    struct tt_map by_content;           /* to the index in tokens */
    struct tt_added_trie *plain, *normal; /* NULL: no such tokens */
};

void tt_added_release(struct tt_added *added);

/* Adds tokens in order, as one call of the reference's add_tokens: one that the model has keeps the model's id, a new one gets the
 * next free id, one that is there already takes the new settings. Only content and the flags of `tokens` are read; empty ones do
 * not count. tt_added_index must follow. */
TT_MUST_CHECK tt_status tt_added_add(struct tt_added *added, const struct tt_added_token *tokens, size_t n,
                                     const struct tt_vocab *vocab, const struct tt_normalizer *norm, const char *where,
                                     struct tt_err *err);

/* Makes what is searched with. TT_EFORMAT: two tokens with one normal form. */
TT_MUST_CHECK tt_status tt_added_index(struct tt_added *added, const char *where, struct tt_err *err);

int32_t tt_added_id(const struct tt_added *added, const char *content, size_t n);
const struct tt_added_token *tt_added_by_id(const struct tt_added *added, int32_t id); /* NULL: none */

/* Whether text is that of a special token. */
bool tt_added_is_special(const struct tt_added *added, const char *text, size_t n);

/* Cuts the tokens of one kind out of every piece that is text. */
TT_MUST_CHECK tt_status tt_added_split(const struct tt_added *added, bool normalized, struct tt_pieces *ps, struct tt_err *err);

#endif
