/* Any bytes as a tokenizer.json: an error, or a tokenizer whose ids decode again without one.
 * corpus: tests/golden/data/tokenizer */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/tokenizer_private.h"
#include "value/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_text(struct tt_encoder *enc, const struct tt_tokenizer *tok, const char *s, size_t n)
{
    struct tt_tokens ids = { 0 };
    struct tt_buf back = { 0 };
    struct tt_err err;
    if (tt_encode(enc, &ids, s, n, TT_ENCODE_BOS | TT_ENCODE_EOS, &err) == TT_OK &&
        tt_decode(tok, &back, ids.id, ids.n, false, &err) != TT_OK && !tok->decoder.unsupported)
        abort();
    tt_tokens_release(&ids);
    tt_buf_release(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] =
        "Hello, world's 123  <|eos|> foo\n\n caf\xc3\xa9 e\xcc\x81 \xe6\xbc\xa2\xe5\xad\x97 \xf0\x9f\x98\x80 ab<tag> \x00z";
    struct tt_arena arena = { .limit = 64u << 20 };
    struct tt_value *root;
    struct tt_err err;
    struct tt_tokenizer *tok = calloc(1, sizeof *tok);
    struct tt_encoder *enc = NULL;
    if (tok && tt_json_parse(&root, &arena, data, size, "fuzz", &err) == TT_OK &&
        tt_tokenizer_read_json(tok, root, "fuzz", &err) == TT_OK && tt_tokenizer_read_config(tok, root, "fuzz", &err) == TT_OK &&
        tt_encoder_new(&enc, tok, &err) == TT_OK) {
        try_text(enc, tok, text, sizeof text - 1);
        try_text(enc, tok, "", 0);
    }
    tt_encoder_free(enc);
    tt_tokenizer_free(tok);
    tt_arena_release(&arena);
    return 0;
}
