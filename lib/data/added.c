#include "data/added.h"

#include <stdlib.h>
#include <string.h>

#include "data/unicode.h"

/* --- the tries --------------------------------------------------------------------------------------------------------- */

struct node {
    uint32_t child, sibling; /* 0: none (0 is the root) */
    int32_t token;           /* index of the token that ends here; -1: none */
    uint8_t byte;
};

struct tt_added_trie {
    struct node *nodes;
    size_t n, cap;
    bool first[256]; /* bytes that a token begins with */
};

static void trie_free(struct tt_added_trie *t)
{
    if (!t)
        return;
    free(t->nodes);
    free(t);
}

static tt_status trie_node(struct tt_added_trie *t, uint8_t byte, struct tt_err *err)
{
    if (t->n == t->cap) {
        const size_t cap = t->cap ? 2 * t->cap : 256;
        struct node *bigger = cap < UINT32_MAX ? realloc(t->nodes, cap * sizeof *bigger) : NULL;
        if (!bigger)
            return tt_err_nomem(err, cap * sizeof *bigger, "added tokens");
        t->nodes = bigger;
        t->cap = cap;
    }
    t->nodes[t->n++] = (struct node){ .token = -1, .byte = byte };
    return TT_OK;
}

static uint32_t trie_step(const struct tt_added_trie *t, uint32_t at, uint8_t byte)
{
    uint32_t c = t->nodes[at].child;
    while (c && t->nodes[c].byte != byte)
        c = t->nodes[c].sibling;
    return c;
}

/* *old: the token that had this text already, -1: none. */
static tt_status trie_put(struct tt_added_trie *t, const char *s, size_t n, int32_t token, int32_t *old, struct tt_err *err)
{
    uint32_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const uint8_t byte = (uint8_t)s[i];
        uint32_t next = trie_step(t, at, byte);
        if (!next) {
            next = (uint32_t)t->n;
            const tt_status st = trie_node(t, byte, err);
            if (st != TT_OK)
                return st;
            t->nodes[next].sibling = t->nodes[at].child;
            t->nodes[at].child = next;
        }
        at = next;
    }
    t->first[(uint8_t)s[0]] = true;
    *old = t->nodes[at].token;
    t->nodes[at].token = token;
    return TT_OK;
}

/* The longest token that begins at s; its index, or -1. */
static int32_t trie_longest(const struct tt_added_trie *t, const char *s, size_t n, size_t *len)
{
    int32_t found = -1;
    uint32_t at = 0;
    for (size_t i = 0; i < n && (at = trie_step(t, at, (uint8_t)s[i])) != 0; i++)
        if (t->nodes[at].token >= 0) {
            found = t->nodes[at].token;
            *len = i + 1;
        }
    return found;
}

/* --- the list ---------------------------------------------------------------------------------------------------------- */

void tt_added_release(struct tt_added *added)
{
    trie_free(added->plain);
    trie_free(added->normal);
    tt_map_release(&added->by_content);
    tt_arena_release(&added->arena);
    free(added->tokens);
    *added = (struct tt_added){ 0 };
}

static struct tt_added_token *find(const struct tt_added *added, const char *content, size_t n)
{
    uint64_t i;
    return tt_map_get(&added->by_content, content, n, &i) ? &added->tokens[i] : NULL;
}

bool tt_added_is_special(const struct tt_added *added, const char *text, size_t n)
{
    const struct tt_added_token *t = find(added, text, n);
    return t && t->special;
}

int32_t tt_added_id(const struct tt_added *added, const char *content, size_t n)
{
    const struct tt_added_token *t = find(added, content, n);
    return t ? t->id : TT_NO_TOKEN;
}

const struct tt_added_token *tt_added_by_id(const struct tt_added *added, int32_t id)
{
    for (size_t i = 0; i < added->n; i++)
        if (added->tokens[i].id == id && !added->tokens[i].hidden)
            return &added->tokens[i];
    return NULL;
}

/* Where the form is not normalized, that of an earlier call stays and is what decoding gives (the reference's way). */
static tt_status normal_form(struct tt_added *added, struct tt_added_token *t, const struct tt_normalizer *norm,
                             struct tt_regex_scratch *scratch, struct tt_err *err)
{
    if (!t->normalized || norm->n == 0)
        return TT_OK;
    struct tt_buf form = { 0 };
    tt_status st = tt_normalize(norm, scratch, &form, t->content, t->n, err);
    if (st == TT_OK)
        st = tt_buf_check(&form, "an added token", err);
    if (st == TT_OK) {
        t->normal = tt_arena_strn(&added->arena, (const char *)form.data, form.len);
        t->nnormal = form.len;
        if (!t->normal)
            st = tt_err_nomem(err, form.len, "an added token");
    }
    tt_buf_release(&form);
    return st;
}

/* An id has one token: a later one hides the earlier. The model's ids may have gaps, and the next free one counts tokens, not ids. */
static void hide_others(struct tt_added *added, int32_t id)
{
    for (size_t i = 0; i < added->n; i++)
        added->tokens[i].hidden |= added->tokens[i].id == id;
}

static tt_status append(struct tt_added *added, struct tt_added_token t, struct tt_err *err)
{
    if (added->n == added->cap) {
        const size_t cap = added->cap ? 2 * added->cap : 64;
        struct tt_added_token *bigger = realloc(added->tokens, cap * sizeof *bigger);
        if (!bigger)
            return tt_err_nomem(err, cap * sizeof *bigger, "added tokens");
        added->tokens = bigger;
        added->cap = cap;
    }
    const tt_status st = tt_map_put(&added->by_content, t.content, t.n, added->n, NULL, NULL, err);
    if (st == TT_OK)
        added->tokens[added->n++] = t;
    return st;
}

static int64_t next_free(const struct tt_added *added, const struct tt_vocab *vocab)
{
    int64_t max = -1;
    for (size_t i = 0; i < added->n; i++)
        if (added->tokens[i].id > max)
            max = added->tokens[i].id;
    const int64_t nmodel = (int64_t)vocab->n;
    return max >= nmodel || (nmodel == 0 && max >= 0) ? max + 1 : nmodel;
}

static tt_status add_one(struct tt_added *added, struct tt_added_token t, int64_t *next, const struct tt_vocab *vocab,
                         const struct tt_normalizer *norm, struct tt_regex_scratch *scratch, const char *where, struct tt_err *err)
{
    struct tt_added_token *old = find(added, t.content, t.n);
    if (old) {
        t.content = old->content;
        t.id = old->id;
        t.special = t.special || old->special; /* once special, always so */
        t.normal = old->normal;
        t.nnormal = old->nnormal;
        const tt_status st = normal_form(added, &t, norm, scratch, err);
        if (st == TT_OK) {
            hide_others(added, t.id);
            *old = t;
        }
        return st;
    }
    t.id = tt_vocab_id(vocab, t.content, t.n);
    if (t.id == TT_NO_TOKEN) {
        if (*next > INT32_MAX - 1)
            return tt_err_set(err, TT_EFORMAT, "%s: no id is left for \"%.200s\"", where, t.content);
        t.id = (int32_t)(*next)++;
    }
    t.content = tt_arena_strn(&added->arena, t.content, t.n);
    if (!t.content)
        return tt_err_nomem(err, t.n, "an added token");
    t.normal = t.content;
    t.nnormal = t.n;
    hide_others(added, t.id);
    const tt_status st = normal_form(added, &t, norm, scratch, err);
    return st == TT_OK ? append(added, t, err) : st;
}

tt_status tt_added_add(struct tt_added *added, const struct tt_added_token *tokens, size_t n, const struct tt_vocab *vocab,
                       const struct tt_normalizer *norm, const char *where, struct tt_err *err)
{
    int64_t next = next_free(added, vocab);
    struct tt_regex_scratch *scratch;
    tt_status st = tt_regex_scratch_new(&scratch, err);
    if (st != TT_OK)
        return st;
    for (size_t i = 0; st == TT_OK && i < n; i++)
        if (tokens[i].n > 0)
            st = add_one(added, tokens[i], &next, vocab, norm, scratch, where, err);
    tt_regex_scratch_free(scratch);
    return st;
}

static tt_status index_kind(struct tt_added_trie **out, const struct tt_added *added, bool normalized, const char *where,
                            struct tt_err *err)
{
    struct tt_added_trie *t = calloc(1, sizeof *t);
    if (!t)
        return tt_err_nomem(err, sizeof *t, "added tokens");
    tt_status st = trie_node(t, 0, err);
    size_t n = 0;
    for (size_t i = 0; st == TT_OK && i < added->n; i++) {
        const struct tt_added_token *a = &added->tokens[i];
        const char *look_for = normalized ? a->normal : a->content;
        const size_t len = normalized ? a->nnormal : a->n;
        if (a->hidden || a->normalized != normalized || len == 0)
            continue;
        int32_t old = -1;
        st = trie_put(t, look_for, len, (int32_t)i, &old, err);
        if (st == TT_OK && old >= 0)
            st = tt_err_set(err, TT_EFORMAT, "%s: \"%.200s\" and \"%.200s\" have the same normal form, which of them is it?", where,
                            added->tokens[old].content, a->content);
        n++;
    }
    trie_free(*out);
    *out = NULL;
    if (st != TT_OK || n == 0)
        trie_free(t);
    else
        *out = t;
    return st;
}

tt_status tt_added_index(struct tt_added *added, const char *where, struct tt_err *err)
{
    const tt_status st = index_kind(&added->plain, added, false, where, err);
    return st == TT_OK ? index_kind(&added->normal, added, true, where, err) : st;
}

/* --- finding ----------------------------------------------------------------------------------------------------------- */

static uint32_t before(const char *s, size_t at, size_t *from)
{
    size_t i = at - 1, len;
    while (i > 0 && ((unsigned char)s[i] & 0xc0) == 0x80)
        i--;
    *from = i;
    return tt_utf8_get(s + i, &len);
}

static size_t strip_left(const char *s, size_t at)
{
    size_t from;
    while (at > 0 && tt_unicode_is_white(before(s, at, &from)))
        at = from;
    return at;
}

static size_t strip_right(const char *s, size_t at, size_t n)
{
    size_t len;
    while (at < n && tt_unicode_is_white(tt_utf8_get(s + at, &len)))
        at += len;
    return at;
}

static bool stands_alone(const char *s, size_t start, size_t stop, size_t n)
{
    size_t ignored;
    return (start == 0 || !tt_unicode_is_word(before(s, start, &ignored))) &&
           (stop == n || !tt_unicode_is_word(tt_utf8_get(s + stop, &ignored)));
}

static tt_status split_piece(const struct tt_added *added, const struct tt_added_trie *trie, struct tt_pieces *ps,
                             const struct tt_piece *p, struct tt_err *err)
{
    const char *s = ps->text + p->at;
    size_t done = 0, len = 0;
    tt_status st = TT_OK;
    for (size_t i = 0; i < p->n && st == TT_OK; i += len) {
        const int32_t which = trie->first[(uint8_t)s[i]] ? trie_longest(trie, s + i, p->n - i, &len) : -1;
        if (which < 0) {
            len = 1;
            continue;
        }
        const struct tt_added_token *t = &added->tokens[which];
        size_t start = i, stop = i + len;
        if (t->single_word && !stands_alone(s, start, stop, p->n))
            continue;
        if (t->lstrip && (start = strip_left(s, start)) < done)
            start = done; /* the token before took that space */
        if (t->rstrip)
            stop = strip_right(s, stop, p->n);
        if (done < start)
            st = tt_pieces_emit(ps, p->at + done, start - done, TT_NO_TOKEN, err);
        if (st == TT_OK)
            st = tt_pieces_emit(ps, p->at + start, stop - start, t->id, err);
        done = stop;
    }
    return st == TT_OK ? tt_pieces_emit(ps, p->at + done, p->n - done, TT_NO_TOKEN, err) : st;
}

tt_status tt_added_split(const struct tt_added *added, bool normalized, struct tt_pieces *ps, struct tt_err *err)
{
    const struct tt_added_trie *trie = normalized ? added->normal : added->plain;
    if (!trie)
        return TT_OK;
    for (size_t i = 0; i < ps->n; i++) {
        const struct tt_piece *p = &ps->p[i];
        const tt_status st = p->id == TT_NO_TOKEN ? split_piece(added, trie, ps, p, err)
                                                  : tt_pieces_emit(ps, p->at, p->n, p->id, err);
        if (st != TT_OK)
            return st;
    }
    tt_pieces_turn(ps);
    return TT_OK;
}
