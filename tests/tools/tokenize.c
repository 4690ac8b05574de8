/* tokenize DIR FLAGS: for each line of standard input, a JSON string, its token ids on one line; what tests/interop/tokens.py
 * compares with the reference. FLAGS is a number of enum tt_encode_flags. With "decode" as third argument the text of those ids
 * goes out too, as a JSON string on the next line. "info" in place of FLAGS prints bos, eos, the vocabulary's size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "data/tokenizer.h"
#include "value/json.h"

static tt_status one_line(struct tt_encoder *enc, const struct tt_tokenizer *tok, const char *line, size_t n, int flags, bool back,
                          struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_tokens ids = { 0 };
    struct tt_buf text = { 0 }, quoted = { 0 };
    struct tt_value *v;
    tt_status st = tt_json_parse(&v, &arena, line, n, "stdin", err);
    if (st == TT_OK && v->kind != TT_V_STR)
        st = tt_err_set(err, TT_EFORMAT, "stdin: expected a string");
    if (st == TT_OK)
        st = tt_encode(enc, &ids, v->u.str.s, v->u.str.nbytes, flags, err);
    for (size_t i = 0; st == TT_OK && i < ids.n; i++)
        printf("%s%d", i ? " " : "", ids.id[i]);
    if (st == TT_OK)
        putchar('\n');
    if (st == TT_OK && back && (st = tt_decode(tok, &text, ids.id, ids.n, true, err)) == TT_OK) {
        tt_json_write_str(&quoted, (const char *)text.data, text.len);
        puts(tt_buf_cstr(&quoted));
    }
    tt_buf_release(&text);
    tt_buf_release(&quoted);
    tt_tokens_release(&ids);
    tt_arena_release(&arena);
    return st;
}

int main(int argc, char **argv)
{
    struct tt_err err = { 0 };
    struct tt_tokenizer *tok = NULL;
    struct tt_encoder *enc = NULL;
    char *line = NULL;
    size_t cap = 0;
    if (argc < 3)
        return 2;
    tt_status st = tt_tokenizer_open(&tok, argv[1], &err);
    if (st == TT_OK && strcmp(argv[2], "info") == 0) {
        printf("%d %d %lld\n", tt_tokenizer_bos(tok), tt_tokenizer_eos(tok), (long long)tt_tokenizer_nvocab(tok));
    } else if (st == TT_OK && (st = tt_encoder_new(&enc, tok, &err)) == TT_OK) {
        for (ssize_t n; st == TT_OK && (n = getline(&line, &cap, stdin)) > 0;)
            st = one_line(enc, tok, line, (size_t)n, atoi(argv[2]), argc > 3, &err);
    }
    if (st != TT_OK)
        fprintf(stderr, "tokenize: %s\n", err.msg);
    free(line);
    tt_encoder_free(enc);
    tt_tokenizer_free(tok);
    return st != TT_OK;
}
