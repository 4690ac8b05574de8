#include "data/tokenizer_private.h"

#include <stdlib.h>
#include <string.h>

#include "data/unicode.h"

/* --- token lists ------------------------------------------------------------------------------------------------------- */

void tt_tokens_release(struct tt_tokens *tokens)
{
    free(tokens->id);
    *tokens = (struct tt_tokens){ 0 };
}

tt_status tt_tokens_append(struct tt_tokens *tokens, const int32_t *id, size_t n, struct tt_err *err)
{
    if (n > tokens->cap - tokens->n) {
        size_t cap = tokens->cap ? tokens->cap : 256;
        while (cap - tokens->n < n)
            cap *= 2;
        int32_t *bigger = realloc(tokens->id, cap * sizeof *bigger);
        if (!bigger)
            return tt_err_nomem(err, cap * sizeof *bigger, "tokens");
        tokens->id = bigger;
        tokens->cap = cap;
    }
    if (n)
        memcpy(tokens->id + tokens->n, id, n * sizeof *id);
    tokens->n += n;
    return TT_OK;
}

/* --- questions --------------------------------------------------------------------------------------------------------- */

int32_t tt_tokenizer_bos(const struct tt_tokenizer *tok) { return tok->bos; }
int32_t tt_tokenizer_eos(const struct tt_tokenizer *tok) { return tok->eos; }

int64_t tt_tokenizer_nvocab(const struct tt_tokenizer *tok)
{
    int64_t n = (int64_t)tok->vocab.n;
    for (size_t i = 0; i < tok->added.n; i++)
        n += tt_vocab_id(&tok->vocab, tok->added.tokens[i].content, tok->added.tokens[i].n) == TT_NO_TOKEN;
    return n;
}

int64_t tt_tokenizer_nids(const struct tt_tokenizer *tok)
{
    int64_t n = tt_vocab_nids(&tok->vocab);
    for (size_t i = 0; i < tok->added.n; i++)
        if (tok->added.tokens[i].id >= n)
            n = (int64_t)tok->added.tokens[i].id + 1;
    return n;
}

int32_t tt_tokenizer_id(const struct tt_tokenizer *tok, const char *token, size_t nbytes)
{
    const int32_t id = tt_added_id(&tok->added, token, nbytes);
    return id != TT_NO_TOKEN ? id : tt_vocab_id(&tok->vocab, token, nbytes);
}

/* --- encoding ---------------------------------------------------------------------------------------------------------- */

struct tt_encoder {
    const struct tt_tokenizer *tok;
    struct tt_pieces pieces;
    struct tt_regex_scratch *regex;
    struct tt_bpe_scratch *bpe;
};

tt_status tt_encoder_new(struct tt_encoder **out, const struct tt_tokenizer *tok, struct tt_err *err)
{
    struct tt_encoder *enc = calloc(1, sizeof *enc);
    if (!enc)
        return tt_err_nomem(err, sizeof *enc, "an encoder");
    enc->tok = tok;
    tt_status st = tt_regex_scratch_new(&enc->regex, err);
    if (st == TT_OK && tok->bpe)
        st = tt_bpe_scratch_new(&enc->bpe, err);
    if (st != TT_OK) {
        tt_encoder_free(enc);
        return st;
    }
    *out = enc;
    return TT_OK;
}

void tt_encoder_free(struct tt_encoder *enc)
{
    if (!enc)
        return;
    tt_pieces_release(&enc->pieces);
    tt_regex_scratch_free(enc->regex);
    tt_bpe_scratch_free(enc->bpe);
    free(enc);
}

static tt_status cut(struct tt_encoder *enc, const char *text, size_t nbytes, struct tt_err *err)
{
    const struct tt_tokenizer *tok = enc->tok;
    tt_status st = tt_pieces_start(&enc->pieces, text, nbytes, err);
    if (st == TT_OK)
        st = tt_added_split(&tok->added, false, &enc->pieces, err);
    if (st == TT_OK)
        st = tt_normalize_pieces(&tok->norm, enc->regex, &enc->pieces, err);
    if (st == TT_OK)
        st = tt_added_split(&tok->added, true, &enc->pieces, err);
    if (st == TT_OK)
        st = tt_pretokenize(&tok->pretok, enc->regex, &enc->pieces, err);
    return st;
}

static tt_status word(struct tt_encoder *enc, const struct tt_piece *p, struct tt_tokens *out, struct tt_err *err)
{
    const struct tt_tokenizer *tok = enc->tok;
    const char *text = enc->pieces.text + p->at;
    if (p->id != TT_NO_TOKEN)
        return tt_tokens_append(out, &p->id, 1, err);
    return tok->bpe ? tt_bpe_word(tok->bpe, enc->bpe, text, p->n, out, err)
                    : tt_wordlevel_word(&tok->words, &tok->vocab, text, p->n, out, err);
}

static tt_status model(struct tt_encoder *enc, struct tt_tokens *out, struct tt_err *err)
{
    for (size_t i = 0; i < enc->pieces.n; i++) {
        const tt_status st = word(enc, &enc->pieces.p[i], out, err);
        if (st != TT_OK)
            return st;
    }
    return TT_OK;
}

/* What goes before and behind: TorchTitan's tokens outside, the pipeline's inside. */
static tt_status around(struct tt_tokens *out, bool add, int32_t id, const struct tt_tokens *own, bool front, struct tt_err *err)
{
    tt_status st = TT_OK;
    if (front && add)
        st = tt_tokens_append(out, &id, 1, err);
    if (st == TT_OK && own)
        st = tt_tokens_append(out, own->id, own->n, err);
    if (st == TT_OK && !front && add)
        st = tt_tokens_append(out, &id, 1, err);
    return st;
}

tt_status tt_encode(struct tt_encoder *enc, struct tt_tokens *out, const char *text, size_t nbytes, int flags, struct tt_err *err)
{
    const struct tt_tokenizer *tok = enc->tok;
    const size_t bad = tt_utf8_check(text, nbytes);
    if (bad < nbytes)
        return tt_err_set(err, TT_EFORMAT, "text: byte %zu: not UTF-8", bad);

    const bool own = !(flags & TT_ENCODE_NO_TEMPLATE);
    const bool bos = (flags & TT_ENCODE_DEFAULT) ? tok->add_bos : (flags & TT_ENCODE_BOS) != 0;
    const bool eos = (flags & TT_ENCODE_DEFAULT) ? tok->add_eos : (flags & TT_ENCODE_EOS) != 0;
    tt_status st = cut(enc, text, nbytes, err);
    if (st == TT_OK)
        st = around(out, bos && !tok->has_bos && tok->bos != TT_NO_TOKEN, tok->bos, own ? &tok->prefix : NULL, true, err);
    if (st == TT_OK)
        st = model(enc, out, err);
    if (st == TT_OK)
        st = around(out, eos && !tok->has_eos && tok->eos != TT_NO_TOKEN, tok->eos, own ? &tok->suffix : NULL, false, err);
    return st;
}
