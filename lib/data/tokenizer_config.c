/* tokenizer_config.json, as TorchTitan's wrapper reads it: the named special tokens, then added_tokens_decoder's, are added to the
 * pipeline as special; bos_token and eos_token say which two are BOS and EOS. */
#include <stdlib.h>
#include <string.h>

#include "data/fields.h"
#include "data/tokenizer_private.h"

static const char *const named[] = { "bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token" };

struct text { const char *s; size_t n; bool set; };

/* "<s>" or {"content": "<s>", ...}. */
static tt_status token_text(struct text *out, const struct tt_value *root, const char *key, const char *path, struct tt_err *err)
{
    const struct tt_value *v = tt_value_get(root, key);
    *out = (struct text){ 0 };
    if (!v || v->kind == TT_V_NULL)
        return TT_OK;
    if (v->kind == TT_V_MAP) {
        v = tt_value_get(v, "content");
        if (v && v->kind == TT_V_NULL)
            return TT_OK;
    }
    if (!v || v->kind != TT_V_STR)
        return tt_err_set(err, TT_EFORMAT, "%s: %s: expected a string or an object with \"content\"", path, key);
    *out = (struct text){ v->u.str.s, v->u.str.nbytes, true };
    return TT_OK;
}

static bool same(struct text a, struct text b) { return a.set && b.set && a.n == b.n && memcmp(a.s, b.s, a.n) == 0; }

struct config {
    struct tt_added_token *tokens;
    size_t n;
    struct text bos, eos;
    bool found_bos, found_eos;
};

/* A text that is both BOS and EOS is BOS; EOS stays unset. */
static void keep(struct config *c, struct tt_added_token token)
{
    const struct text t = { token.content, token.n, true };
    if (same(t, c->bos))
        c->found_bos = true;
    else if (same(t, c->eos))
        c->found_eos = true;
    token.special = true;
    c->tokens[c->n++] = token;
}

static tt_status read_named(struct config *c, const struct tt_value *root, const char *path, struct tt_err *err)
{
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        struct text t;
        tt_status st = token_text(&t, root, named[i], path, err);
        if (st != TT_OK)
            return st;
        if (!t.set)
            continue;
        const struct tt_value *v = tt_value_get(root, named[i]);
        struct tt_added_token token = { .content = t.s, .n = t.n, .normalized = v->kind == TT_V_MAP };
        if (v->kind == TT_V_MAP && (st = tt_added_token_read(&token, v, TT_OPTIONAL, path, err)) != TT_OK)
            return st;
        keep(c, token);
    }
    return TT_OK;
}

static tt_status read_decoder(struct config *c, const struct tt_value *map, const char *path, struct tt_err *err)
{
    for (size_t i = 0; map && i < map->u.map.n; i++) {
        const struct tt_pair *pair = &map->u.map.pairs[i];
        if (!tt_value_get(pair->value, "content"))
            continue;
        const char *digits = pair->key->u.str.s;
        if (!*digits || strspn(digits, "0123456789") != pair->key->u.str.nbytes)
            return tt_err_set(err, TT_EFORMAT, "%s: added_tokens_decoder: expected a number as key, found \"%.100s\"", path,
                              digits);
        struct tt_added_token token = { .normalized = true };
        const tt_status st = tt_added_token_read(&token, pair->value, TT_OPTIONAL, path, err);
        if (st != TT_OK)
            return st;
        keep(c, token);
    }
    return TT_OK;
}

static tt_status add_special(struct tt_tokenizer *tok, const struct tt_value *root, const char *path, struct tt_err *err)
{
    const struct tt_value *decoder;
    tt_status st = tt_field_tree(&decoder, root, "added_tokens_decoder", TT_V_MAP, TT_OPTIONAL, path, err);
    if (st != TT_OK)
        return st;
    struct config c = { 0 };
    const size_t most = sizeof named / sizeof *named + (decoder ? decoder->u.map.n : 0);
    if (!(c.tokens = calloc(most, sizeof *c.tokens)))
        return tt_err_nomem(err, most * sizeof *c.tokens, "special tokens");
    st = token_text(&c.bos, root, "bos_token", path, err);
    if (st == TT_OK)
        st = token_text(&c.eos, root, "eos_token", path, err);
    if (st == TT_OK)
        st = read_named(&c, root, path, err);
    if (st == TT_OK)
        st = read_decoder(&c, decoder, path, err);
    if (st == TT_OK && c.n > 0)
        st = tt_added_add(&tok->added, c.tokens, c.n, &tok->vocab, &tok->norm, path, err);
    if (st == TT_OK && c.n > 0)
        st = tt_added_index(&tok->added, path, err);
    if (st == TT_OK && c.found_bos)
        tok->bos = tt_tokenizer_id(tok, c.bos.s, c.bos.n);
    if (st == TT_OK && c.found_eos)
        tok->eos = tt_tokenizer_id(tok, c.eos.s, c.eos.n);
    free(c.tokens);
    return st;
}

/* Python's truth of a JSON value. */
static bool truth(const struct tt_value *v)
{
    if (!v)
        return false;
    switch (v->kind) {
    case TT_V_BOOL: return v->u.b;
    case TT_V_INT: return v->u.i != 0;
    case TT_V_FLOAT: return v->u.f != 0;
    case TT_V_STR: return v->u.str.nbytes > 0;
    case TT_V_LIST: return v->u.list.n > 0;
    case TT_V_MAP: return v->u.map.n > 0;
    default: return false;
    }
}

static bool holds(const struct tt_tokens *tokens, int32_t id)
{
    for (size_t i = 0; i < tokens->n; i++)
        if (id != TT_NO_TOKEN && tokens->id[i] == id)
            return true;
    return false;
}

tt_status tt_tokenizer_read_config(struct tt_tokenizer *tok, const struct tt_value *root, const char *path, struct tt_err *err)
{
    tok->bos = tok->eos = TT_NO_TOKEN;
    if (root && root->kind != TT_V_MAP)
        return tt_err_set(err, TT_EFORMAT, "%s: expected an object, found %s", path, tt_value_kind_name(root->kind));
    if (root) {
        const tt_status st = add_special(tok, root, path, err);
        if (st != TT_OK)
            return st;
        tok->add_bos = truth(tt_value_get(root, "add_bos_token"));
        tok->add_eos = truth(tt_value_get(root, "add_eos_token"));
    }
    tok->has_bos = holds(&tok->prefix, tok->bos) || holds(&tok->suffix, tok->bos);
    tok->has_eos = holds(&tok->prefix, tok->eos) || holds(&tok->suffix, tok->eos);
    return TT_OK;
}
