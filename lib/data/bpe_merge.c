/* A word into tokens. See bpe.h for the rule. */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "data/bpe_private.h"
#include "data/unicode.h"

enum {
    SCAN_MAX = 40,            /* up to so many symbols, trying all places beats a heap */
    CACHE_SLOTS = 1 << 15,    /* direct-mapped: a word takes the place of another of the same slot */
    CACHE_WORD = 28,          /* longest word that is kept */
    CACHE_IDS = 12,           /* in at most so many tokens */
};

static const uint32_t no_rank = UINT32_MAX;

struct symbol {
    int32_t id;
    int32_t prev, next;       /* -1: none */
    int32_t merged;           /* what the pair with `next` becomes */
    uint32_t rank;            /* of that pair; no_rank: none */
};

struct cached {
    uint8_t nword, nids;
    char word[CACHE_WORD];
    int32_t id[CACHE_IDS];
};

struct place { uint32_t rank; int32_t at; };

struct tt_bpe_scratch {
    struct symbol *sym;
    size_t nsym, cap;
    struct place *heap;
    size_t nheap, cap_heap;
    struct cached *cache;
};

tt_status tt_bpe_scratch_new(struct tt_bpe_scratch **out, struct tt_err *err)
{
    struct tt_bpe_scratch *s = calloc(1, sizeof *s);
    if (s && !(s->cache = calloc(CACHE_SLOTS, sizeof *s->cache))) {
        free(s);
        s = NULL;
    }
    if (!s)
        return tt_err_nomem(err, CACHE_SLOTS * sizeof *s->cache, "a cache of words");
    *out = s;
    return TT_OK;
}

void tt_bpe_scratch_free(struct tt_bpe_scratch *s)
{
    if (!s)
        return;
    free(s->sym);
    free(s->heap);
    free(s->cache);
    free(s);
}

/* --- characters to symbols --------------------------------------------------------------------------------------------- */

static void push(struct tt_bpe_scratch *s, int32_t id) { s->sym[s->nsym++].id = id; }

static tt_status room(struct tt_bpe_scratch *s, size_t n, struct tt_err *err)
{
    if (n > INT32_MAX / 4)
        return tt_err_set(err, TT_EUNSUPPORTED, "a word of %zu bytes", n);
    if (n <= s->cap)
        return TT_OK;
    struct symbol *bigger = realloc(s->sym, 2 * n * sizeof *bigger);
    if (!bigger)
        return tt_err_nomem(err, 2 * n * sizeof *bigger, "a word");
    s->sym = bigger;
    s->cap = 2 * n;
    return TT_OK;
}

static bool fall_back(const struct tt_bpe *bpe, struct tt_bpe_scratch *s, const char *c, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bpe->byte_id[(unsigned char)c[i]] == TT_NO_TOKEN)
            return false;
    for (size_t i = 0; i < len; i++)
        push(s, bpe->byte_id[(unsigned char)c[i]]);
    return true;
}

/* An unknown character's token is held back until the next known one, so that fuse_unk can make one of several; bytes that stand
 * in for a character do not release it (the reference's order). */
static tt_status start(const struct tt_bpe *bpe, struct tt_bpe_scratch *s, const char *word, size_t n, struct tt_err *err)
{
    const tt_status st = room(s, n, err);
    if (st != TT_OK)
        return st;
    bool held = false;
    size_t len = 1;
    s->nsym = 0;
    for (size_t i = 0; i < n; i += len) {
        const uint32_t cp = tt_utf8_get(word + i, &len);
        const int32_t id = cp < TT_BPE_FAST_CHARS ? bpe->char_id[cp] : tt_vocab_id(bpe->vocab, word + i, len);
        if (id != TT_NO_TOKEN) {
            if (held)
                push(s, bpe->unk_id);
            held = false;
            push(s, id);
        } else if (bpe->byte_fallback && fall_back(bpe, s, word + i, len)) {
            continue;
        } else if (bpe->unk) {
            if (bpe->unk_id == TT_NO_TOKEN)
                return tt_err_set(err, TT_EFORMAT, "%s: unk_token \"%s\" is needed but not in vocab", bpe->where, bpe->unk);
            if (held && !bpe->fuse_unk)
                push(s, bpe->unk_id);
            held = true;
        }
    }
    if (held)
        push(s, bpe->unk_id);
    return TT_OK;
}

/* --- merging ----------------------------------------------------------------------------------------------------------- */

static void rank_pair(const struct tt_bpe *bpe, struct tt_bpe_scratch *s, int32_t at)
{
    struct symbol *a = &s->sym[at];
    const struct tt_merge *m = a->next < 0 ? NULL : tt_merge_find(bpe, a->id, s->sym[a->next].id);
    a->rank = m ? m->rank : no_rank;
    a->merged = m ? m->new_id : TT_NO_TOKEN;
}

static void link_symbols(const struct tt_bpe *bpe, struct tt_bpe_scratch *s)
{
    const int32_t n = (int32_t)s->nsym;
    for (int32_t i = 0; i < n; i++) {
        s->sym[i].prev = i - 1;
        s->sym[i].next = i + 1 < n ? i + 1 : -1;
    }
    for (int32_t i = 0; i < n; i++)
        rank_pair(bpe, s, i);
}

/* The pair at `at` becomes one symbol; its right half is left unlinked, with no_rank. */
static void merge(const struct tt_bpe *bpe, struct tt_bpe_scratch *s, int32_t at)
{
    struct symbol *a = &s->sym[at], *b = &s->sym[a->next];
    a->id = a->merged;
    a->next = b->next;
    b->rank = no_rank;
    if (a->next >= 0)
        s->sym[a->next].prev = at;
    rank_pair(bpe, s, at);
    if (a->prev >= 0)
        rank_pair(bpe, s, a->prev);
}

static void merge_by_scan(const struct tt_bpe *bpe, struct tt_bpe_scratch *s)
{
    for (;;) {
        int32_t best = -1;
        uint32_t rank = no_rank;
        for (int32_t i = 0; i >= 0; i = s->sym[i].next)
            if (s->sym[i].rank < rank) {
                rank = s->sym[i].rank;
                best = i;
            }
        if (best < 0)
            return;
        merge(bpe, s, best);
    }
}

static bool before(struct place a, struct place b) { return a.rank != b.rank ? a.rank < b.rank : a.at < b.at; }

static tt_status heap_push(struct tt_bpe_scratch *s, int32_t at, struct tt_err *err)
{
    const struct place p = { s->sym[at].rank, at };
    if (p.rank == no_rank)
        return TT_OK;
    if (s->nheap == s->cap_heap) {
        const size_t cap = s->cap_heap ? 2 * s->cap_heap : 256;
        struct place *bigger = realloc(s->heap, cap * sizeof *bigger);
        if (!bigger)
            return tt_err_nomem(err, cap * sizeof *bigger, "a word");
        s->heap = bigger;
        s->cap_heap = cap;
    }
    size_t i = s->nheap++;
    for (; i > 0 && before(p, s->heap[(i - 1) / 2]); i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = p;
    return TT_OK;
}

static struct place heap_pop(struct tt_bpe_scratch *s)
{
    const struct place top = s->heap[0], last = s->heap[--s->nheap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < s->nheap; i = child) {
        if (child + 1 < s->nheap && before(s->heap[child + 1], s->heap[child]))
            child++;
        if (!before(s->heap[child], last))
            break;
        s->heap[i] = s->heap[child];
    }
    s->heap[i] = last;
    return top;
}

static tt_status merge_by_heap(const struct tt_bpe *bpe, struct tt_bpe_scratch *s, struct tt_err *err)
{
    s->nheap = 0;
    for (int32_t i = 0; i < (int32_t)s->nsym; i++) {
        const tt_status st = heap_push(s, i, err);
        if (st != TT_OK)
            return st;
    }
    while (s->nheap > 0) {
        const struct place p = heap_pop(s);
        if (s->sym[p.at].rank != p.rank) /* that pair is gone */
            continue;
        merge(bpe, s, p.at);
        tt_status st = heap_push(s, p.at, err);
        if (st == TT_OK && s->sym[p.at].prev >= 0)
            st = heap_push(s, s->sym[p.at].prev, err);
        if (st != TT_OK)
            return st;
    }
    return TT_OK;
}

static tt_status merge_word(const struct tt_bpe *bpe, struct tt_bpe_scratch *s, const char *word, size_t n, struct tt_tokens *out,
                            struct tt_err *err)
{
    tt_status st = start(bpe, s, word, n, err);
    if (st != TT_OK || s->nsym == 0)
        return st;
    link_symbols(bpe, s);
    if (s->nsym <= SCAN_MAX)
        merge_by_scan(bpe, s);
    else if ((st = merge_by_heap(bpe, s, err)) != TT_OK)
        return st;
    for (int32_t i = 0; i >= 0 && st == TT_OK; i = s->sym[i].next)
        st = tt_tokens_append(out, &s->sym[i].id, 1, err);
    return st;
}

tt_status tt_bpe_word(const struct tt_bpe *bpe, struct tt_bpe_scratch *s, const char *word, size_t n, struct tt_tokens *out,
                      struct tt_err *err)
{
    if (n > CACHE_WORD) {
        const int32_t id = bpe->ignore_merges ? tt_vocab_id(bpe->vocab, word, n) : TT_NO_TOKEN;
        return id != TT_NO_TOKEN ? tt_tokens_append(out, &id, 1, err) : merge_word(bpe, s, word, n, out, err);
    }
    struct cached *c = &s->cache[tt_hash_bytes(word, n) % CACHE_SLOTS];
    if (c->nword == n && memcmp(c->word, word, n) == 0)
        return tt_tokens_append(out, c->id, c->nids, err);

    const size_t from = out->n;
    const int32_t id = bpe->ignore_merges ? tt_vocab_id(bpe->vocab, word, n) : TT_NO_TOKEN;
    const tt_status st = id != TT_NO_TOKEN ? tt_tokens_append(out, &id, 1, err) : merge_word(bpe, s, word, n, out, err);
    const size_t nids = out->n - from;
    if (st == TT_OK && n > 0 && nids > 0 && nids <= CACHE_IDS) {
        *c = (struct cached){ .nword = (uint8_t)n, .nids = (uint8_t)nids };
        memcpy(c->word, word, n);
        memcpy(c->id, out->id + from, nids * sizeof *c->id);
    }
    return st;
}
