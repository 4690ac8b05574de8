/* tokenizer.json: {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder",
 * "model"}, as Hugging Face tokenizers writes it. */
#include <stdlib.h>
#include <string.h>

#include "data/fields.h"
#include "data/steps.h"
#include "data/tokenizer_private.h"

static char *place(struct tt_arena *names, const char *path, const char *field)
{
    return tt_arena_printf(names, "%s: %s", path, field);
}

/* --- added tokens ------------------------------------------------------------------------------------------------------ */

tt_status tt_added_token_read(struct tt_added_token *out, const struct tt_value *v, enum tt_need need, const char *where,
                              struct tt_err *err)
{
    const struct { const char *key; bool *to; } flags[] = {
        { "single_word", &out->single_word }, { "lstrip", &out->lstrip },   { "rstrip", &out->rstrip },
        { "normalized", &out->normalized },   { "special", &out->special },
    };
    tt_status st = tt_field_str(&out->content, &out->n, v, "content", TT_REQUIRED, where, err);
    for (size_t i = 0; st == TT_OK && i < sizeof flags / sizeof *flags; i++)
        st = tt_field_bool(flags[i].to, v, flags[i].key, need, where, err);
    return st;
}

static tt_status read_added(struct tt_tokenizer *tok, const struct tt_value *root, const char *where, struct tt_err *err)
{
    const struct tt_value *list;
    tt_status st = tt_field_tree(&list, root, "added_tokens", TT_V_LIST, TT_OPTIONAL, where, err);
    if (st != TT_OK || !list)
        return st;
    struct tt_added_token *tokens = calloc(list->u.list.n + 1, sizeof *tokens);
    if (!tokens)
        return tt_err_nomem(err, list->u.list.n * sizeof *tokens, "added tokens");
    struct tt_arena names = { 0 };
    for (size_t i = 0; st == TT_OK && i < list->u.list.n; i++) {
        const char *each = tt_arena_printf(&names, "%s: added_tokens[%zu]", where, i);
        int32_t id; /* as written; the reference gives the id that the model has, or the next one */
        st = each ? tt_added_token_read(&tokens[i], list->u.list.items[i], TT_REQUIRED, each, err) : tt_err_nomem(err, 0, "a name");
        if (st == TT_OK)
            st = tt_token_id_of(&id, tt_value_get(list->u.list.items[i], "id"), each, "id", err);
    }
    if (st == TT_OK)
        st = tt_added_add(&tok->added, tokens, list->u.list.n, &tok->vocab, &tok->norm, where, err);
    if (st == TT_OK)
        st = tt_added_index(&tok->added, where, err);
    tt_arena_release(&names);
    free(tokens);
    return st;
}

/* --- post-processor ---------------------------------------------------------------------------------------------------- */

struct around { struct tt_tokens prefix, suffix; };

static void around_release(struct around *a)
{
    tt_tokens_release(&a->prefix);
    tt_tokens_release(&a->suffix);
}

/* A later step wraps what earlier ones made. */
static tt_status wrap(struct tt_tokenizer *tok, struct around *a, struct tt_err *err)
{
    tt_status st = tt_tokens_append(&a->prefix, tok->prefix.id, tok->prefix.n, err);
    if (st == TT_OK)
        st = tt_tokens_append(&tok->suffix, a->suffix.id, a->suffix.n, err);
    if (st == TT_OK) {
        const struct tt_tokens old = tok->prefix;
        tok->prefix = a->prefix;
        a->prefix = old;
    }
    return st;
}

static tt_status special_piece(struct tt_tokens *out, const struct tt_value *v, const struct tt_value *piece, const char *where,
                               struct tt_err *err)
{
    const char *name = NULL;
    size_t n = 0;
    tt_status st = tt_field_str(&name, &n, piece, "id", TT_REQUIRED, where, err);
    if (st != TT_OK)
        return st;
    const struct tt_value *ids = tt_value_at(v, "special_tokens", name, "ids", NULL);
    if (!ids || ids->kind != TT_V_LIST)
        return tt_err_set(err, TT_EFORMAT, "%s: special_tokens has no ids for \"%.200s\"", where, name);
    for (size_t i = 0; st == TT_OK && i < ids->u.list.n; i++) {
        int32_t id;
        st = tt_token_id_of(&id, ids->u.list.items[i], where, "special_tokens", err);
        if (st == TT_OK)
            st = tt_tokens_append(out, &id, 1, err);
    }
    return st;
}

/* "single": [{"SpecialToken": {"id": "<s>", ...}}, {"Sequence": {"id": "A", ...}}, ...] */
static tt_status add_template(struct tt_tokenizer *tok, const struct tt_value *v, const char *where, struct tt_err *err)
{
    const struct tt_value *single;
    tt_status st = tt_field_tree(&single, v, "single", TT_V_LIST, TT_REQUIRED, where, err);
    struct around a = { 0 };
    size_t nseq = 0;
    for (size_t i = 0; st == TT_OK && i < single->u.list.n; i++) {
        const struct tt_value *special = tt_value_get(single->u.list.items[i], "SpecialToken");
        const struct tt_value *sequence = tt_value_get(single->u.list.items[i], "Sequence");
        if (special)
            st = special_piece(nseq ? &a.suffix : &a.prefix, v, special, where, err);
        else if (sequence && tt_value_is_str(tt_value_get(sequence, "id"), "A"))
            nseq++;
        else
            st = tt_err_set(err, TT_EFORMAT, "%s: single[%zu]: expected a SpecialToken or the Sequence A", where, i);
    }
    if (st == TT_OK && nseq != 1)
        st = tt_err_set(err, TT_EUNSUPPORTED, "%s: single: expected the Sequence A once, found it %zu times", where, nseq);
    if (st == TT_OK)
        st = wrap(tok, &a, err);
    around_release(&a);
    return st;
}

/* "cls": ["<s>", 0], "sep": ["</s>", 2] */
static tt_status add_cls_sep(struct tt_tokenizer *tok, const struct tt_value *v, const char *where, struct tt_err *err)
{
    static const char *const keys[] = { "cls", "sep" };
    struct around a = { 0 };
    struct tt_tokens *const to[] = { &a.prefix, &a.suffix };
    tt_status st = TT_OK;
    for (int i = 0; i < 2 && st == TT_OK; i++) {
        const struct tt_value *pair;
        int32_t id;
        st = tt_field_tree(&pair, v, keys[i], TT_V_LIST, TT_REQUIRED, where, err);
        if (st == TT_OK)
            st = tt_token_id_of(&id, pair->u.list.n == 2 ? pair->u.list.items[1] : NULL, where, keys[i], err);
        if (st == TT_OK)
            st = tt_tokens_append(to[i], &id, 1, err);
    }
    if (st == TT_OK)
        st = wrap(tok, &a, err);
    around_release(&a);
    return st;
}

static tt_status add_nothing(struct tt_tokenizer *tok, const struct tt_value *v, const char *where, struct tt_err *err)
{
    (void)tok, (void)v, (void)where, (void)err;
    return TT_OK; /* ByteLevel: about offsets only */
}

static const struct {
    const char *type;
    tt_status (*add)(struct tt_tokenizer *, const struct tt_value *, const char *where, struct tt_err *);
} processors[] = {
    { "TemplateProcessing", add_template },
    { "ByteLevel", add_nothing },
    { "BertProcessing", add_cls_sep },
    { "RobertaProcessing", add_cls_sep },
};

static tt_status add_processor(void *out, const char *type, const struct tt_value *v, const char *where, struct tt_err *err)
{
    for (size_t i = 0; i < sizeof processors / sizeof *processors; i++)
        if (strcmp(type, processors[i].type) == 0)
            return processors[i].add(out, v, where, err);
    return tt_err_set(err, TT_EUNSUPPORTED, "%s: post-processor \"%s\" is not supported here", where, type);
}

/* --- model ------------------------------------------------------------------------------------------------------------- */

static tt_status read_model(struct tt_tokenizer *tok, const struct tt_value *v, const char *where, struct tt_err *err)
{
    const char *type = "BPE";
    size_t n = 0;
    tt_status st = tt_field_str(&type, &n, v, "type", TT_OPTIONAL, where, err);
    if (st != TT_OK)
        return st;
    const bool words = strcmp(type, "WordLevel") == 0;
    if (!words && strcmp(type, "BPE") != 0)
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: type \"%s\" is not supported (BPE, WordLevel are)", where, type);
    st = tt_vocab_read(&tok->vocab, v, where, err);
    if (st != TT_OK)
        return st;
    return words ? tt_wordlevel_init(&tok->words, &tok->vocab, v, where, err) : tt_bpe_new(&tok->bpe, &tok->vocab, v, where, err);
}

/* --- the whole --------------------------------------------------------------------------------------------------------- */

/* Settings that would change tokens behind the trainer's back. */
static tt_status refuse(const struct tt_value *root, const char *path, struct tt_err *err)
{
    const struct tt_value *version = tt_value_get(root, "version");
    if (version && !tt_value_is_str(version, "1.0"))
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: version: only \"1.0\" is known", path);
    const struct tt_value *truncation = tt_value_get(root, "truncation");
    if (truncation && truncation->kind != TT_V_NULL)
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: truncation is not supported (set it to null): it would drop text", path);
    const struct tt_value *padding = tt_value_get(root, "padding"), *multiple = tt_value_get(padding, "pad_to_multiple_of");
    if (padding && padding->kind != TT_V_NULL &&
        !(tt_value_is_str(tt_value_get(padding, "strategy"), "BatchLongest") && (!multiple || multiple->kind == TT_V_NULL)))
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: padding to a length is not supported (set it to null)", path);
    return TT_OK;
}

tt_status tt_tokenizer_read_json(struct tt_tokenizer *tok, const struct tt_value *root, const char *path, struct tt_err *err)
{
    struct tt_arena names = { 0 };
    const struct tt_value *model;
    tt_status st = TT_OK;
    if (root->kind != TT_V_MAP)
        st = tt_err_set(err, TT_EFORMAT, "%s: expected an object, found %s", path, tt_value_kind_name(root->kind));
    if (st == TT_OK)
        st = refuse(root, path, err);
    if (st == TT_OK)
        st = tt_field_tree(&model, root, "model", TT_V_MAP, TT_REQUIRED, path, err);
    const char *const at[] = { place(&names, path, "model"), place(&names, path, "normalizer"),
                               place(&names, path, "pre_tokenizer"), place(&names, path, "post_processor"),
                               place(&names, path, "decoder") };
    for (size_t i = 0; st == TT_OK && i < sizeof at / sizeof *at; i++)
        if (!at[i])
            st = tt_err_nomem(err, 0, "names");
    if (st == TT_OK)
        st = read_model(tok, model, at[0], err);
    if (st == TT_OK)
        st = tt_normalizer_init(&tok->norm, tt_value_get(root, "normalizer"), at[1], err);
    if (st == TT_OK)
        st = tt_pretok_init(&tok->pretok, tt_value_get(root, "pre_tokenizer"), at[2], err);
    if (st == TT_OK)
        st = tt_steps_read(tok, add_processor, tt_value_get(root, "post_processor"), "processors", at[3], err);
    if (st == TT_OK)
        st = tt_decoder_init(&tok->decoder, tt_value_get(root, "decoder"), at[4], err);
    if (st == TT_OK)
        st = read_added(tok, root, path, err);
    tt_arena_release(&names);
    return st;
}
