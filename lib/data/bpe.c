#include "data/bpe_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "data/fields.h"
#include "data/unicode.h"

/* --- vocabulary -------------------------------------------------------------------------------------------------------- */

/* Look-ups that every word makes, as arrays. */
static void index_characters(struct tt_bpe *bpe)
{
    for (uint32_t cp = 0; cp < TT_BPE_FAST_CHARS; cp++) {
        char s[4];
        bpe->char_id[cp] = tt_vocab_id(bpe->vocab, s, tt_utf8_put(s, cp));
    }
    for (unsigned b = 0; b < 256; b++) {
        static const char hex[] = "0123456789ABCDEF";
        const char name[] = { '<', '0', 'x', hex[b >> 4], hex[b & 15], '>' };
        bpe->byte_id[b] = tt_vocab_id(bpe->vocab, name, sizeof name);
    }
}

/* --- merges ------------------------------------------------------------------------------------------------------------ */

struct half { const char *s; size_t n; };

/* "a b", or ["a", "b"]; *skip: a "#version" line of the older form. */
static tt_status read_merge(struct half half[2], const struct tt_value *v, bool *skip, const char *where, size_t i,
                            struct tt_err *err)
{
    *skip = false;
    if (v->kind == TT_V_LIST && v->u.list.n == 2 && v->u.list.items[0]->kind == TT_V_STR && v->u.list.items[1]->kind == TT_V_STR) {
        for (int k = 0; k < 2; k++)
            half[k] = (struct half){ v->u.list.items[k]->u.str.s, v->u.list.items[k]->u.str.nbytes };
        return TT_OK;
    }
    if (v->kind == TT_V_STR) {
        const char *s = v->u.str.s, *space = memchr(s, ' ', v->u.str.nbytes);
        if ((*skip = strncmp(s, "#version", 8) == 0))
            return TT_OK;
        if (space && !memchr(space + 1, ' ', v->u.str.nbytes - (size_t)(space + 1 - s))) {
            half[0] = (struct half){ s, (size_t)(space - s) };
            half[1] = (struct half){ space + 1, v->u.str.nbytes - (size_t)(space + 1 - s) };
            return TT_OK;
        }
    }
    return tt_err_set(err, TT_EFORMAT, "%s: merges[%zu]: expected \"a b\" or [\"a\", \"b\"]", where, i);
}

static tt_status known(int32_t *id, const struct tt_bpe *bpe, const char *s, size_t n, size_t i, struct tt_err *err)
{
    *id = tt_vocab_id(bpe->vocab, s, n);
    if (*id == TT_NO_TOKEN)
        return tt_err_set(err, TT_EFORMAT, "%s: merges[%zu]: \"%.*s\" is not in vocab", bpe->where, i, n > 200 ? 200 : (int)n, s);
    return TT_OK;
}

/* A pair that comes again takes the later rank, as in the reference. */
static void put_merge(struct tt_bpe *bpe, struct tt_merge merge)
{
    for (size_t i = tt_merge_hash(merge.left, merge.right);; i++) {
        struct tt_merge *m = &bpe->merges[i & (bpe->nslots - 1)];
        if (m->new_id == TT_NO_TOKEN || (m->left == merge.left && m->right == merge.right)) {
            *m = merge;
            return;
        }
    }
}

static tt_status add_merge(struct tt_bpe *bpe, struct tt_buf *joined, const struct half half[2], uint32_t rank, size_t i,
                           struct tt_err *err)
{
    struct tt_merge m = { .rank = rank };
    tt_buf_clear(joined);
    tt_buf_put(joined, half[0].s, half[0].n);
    tt_buf_put(joined, half[1].s, half[1].n);
    tt_status st = tt_buf_check(joined, "a merge", err);
    if (st == TT_OK)
        st = known(&m.left, bpe, half[0].s, half[0].n, i, err);
    if (st == TT_OK)
        st = known(&m.right, bpe, half[1].s, half[1].n, i, err);
    if (st == TT_OK)
        st = known(&m.new_id, bpe, (const char *)joined->data, joined->len, i, err);
    if (st == TT_OK)
        put_merge(bpe, m);
    return st;
}

static tt_status alloc_merges(struct tt_bpe *bpe, size_t n, struct tt_err *err)
{
    if (n > UINT32_MAX / 4)
        return tt_err_set(err, TT_EFORMAT, "%s: merges: too many (%zu)", bpe->where, n);
    for (bpe->nslots = 16; bpe->nslots < 2 * n + 2;)
        bpe->nslots *= 2;
    bpe->merges = malloc(bpe->nslots * sizeof *bpe->merges);
    if (!bpe->merges)
        return tt_err_nomem(err, bpe->nslots * sizeof *bpe->merges, "merges");
    for (size_t i = 0; i < bpe->nslots; i++)
        bpe->merges[i].new_id = TT_NO_TOKEN;
    return TT_OK;
}

static tt_status read_merges(struct tt_bpe *bpe, const struct tt_value *model, struct tt_err *err)
{
    const struct tt_value *merges;
    tt_status st = tt_field_tree(&merges, model, "merges", TT_V_LIST, TT_REQUIRED, bpe->where, err);
    if (st == TT_OK)
        st = alloc_merges(bpe, merges->u.list.n, err);
    struct tt_buf joined = { 0 };
    uint32_t rank = 0;
    for (size_t i = 0; st == TT_OK && i < merges->u.list.n; i++) {
        struct half half[2] = { { 0 } };
        bool skip;
        st = read_merge(half, merges->u.list.items[i], &skip, bpe->where, i, err);
        if (st == TT_OK && !skip)
            st = add_merge(bpe, &joined, half, rank++, i, err);
    }
    tt_buf_release(&joined);
    return st;
}

/* --- the model --------------------------------------------------------------------------------------------------------- */

static tt_status read_settings(struct tt_bpe *bpe, const struct tt_value *model, struct tt_err *err)
{
    static const char *const affixes[] = { "continuing_subword_prefix", "end_of_word_suffix" };
    const char *s = NULL;
    size_t n = 0;
    tt_status st;
    for (int i = 0; i < 2; i++) {
        n = 0;
        if ((st = tt_field_str(&s, &n, model, affixes[i], TT_OPTIONAL, bpe->where, err)) != TT_OK)
            return st;
        if (n > 0)
            return tt_err_set(err, TT_EUNSUPPORTED, "%s: %s \"%s\" is not supported (null and \"\" are)", bpe->where, affixes[i],
                              s);
    }
    const struct tt_value *dropout = tt_value_get(model, "dropout");
    if (dropout && dropout->kind != TT_V_NULL && !(dropout->kind == TT_V_FLOAT && dropout->u.f == 0) &&
        !(dropout->kind == TT_V_INT && dropout->u.i == 0))
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: dropout is not supported (null and 0 are): it makes tokens random",
                          bpe->where);
    if ((st = tt_field_bool(&bpe->ignore_merges, model, "ignore_merges", TT_OPTIONAL, bpe->where, err)) != TT_OK ||
        (st = tt_field_bool(&bpe->fuse_unk, model, "fuse_unk", TT_OPTIONAL, bpe->where, err)) != TT_OK ||
        (st = tt_field_bool(&bpe->byte_fallback, model, "byte_fallback", TT_OPTIONAL, bpe->where, err)) != TT_OK)
        return st;
    return TT_OK;
}

static tt_status read_unk(struct tt_bpe *bpe, const struct tt_value *model, struct tt_err *err)
{
    const char *s = NULL;
    const tt_status st = tt_field_str(&s, &bpe->nunk, model, "unk_token", TT_OPTIONAL, bpe->where, err);
    if (st != TT_OK || !s)
        return st;
    bpe->unk_id = tt_vocab_id(bpe->vocab, s, bpe->nunk);
    bpe->unk = tt_arena_strn(&bpe->arena, s, bpe->nunk);
    return bpe->unk ? TT_OK : tt_err_nomem(err, bpe->nunk, "a token");
}

tt_status tt_bpe_new(struct tt_bpe **out, const struct tt_vocab *vocab, const struct tt_value *model, const char *where,
                     struct tt_err *err)
{
    struct tt_bpe *bpe = calloc(1, sizeof *bpe);
    if (!bpe || !(bpe->where = strdup(where))) {
        free(bpe);
        return tt_err_nomem(err, sizeof *bpe, "a BPE model");
    }
    bpe->vocab = vocab;
    tt_status st = read_settings(bpe, model, err);
    if (st == TT_OK)
        st = read_merges(bpe, model, err);
    if (st == TT_OK)
        st = read_unk(bpe, model, err);
    if (st != TT_OK) {
        tt_bpe_free(bpe);
        return st;
    }
    index_characters(bpe);
    *out = bpe;
    return TT_OK;
}

void tt_bpe_free(struct tt_bpe *bpe)
{
    if (!bpe)
        return;
    tt_arena_release(&bpe->arena);
    free(bpe->merges);
    free(bpe->where);
    free(bpe);
}
