#include "data/vocab.h"

#include <stdlib.h>

#include "data/fields.h"

static int by_id(const void *a, const void *b)
{
    const struct tt_vocab_token *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static tt_status add_token(struct tt_vocab *vocab, const struct tt_pair *pair, const char *where, struct tt_err *err)
{
    const char *name = pair->key->u.str.s;
    const size_t n = pair->key->u.str.nbytes;
    int32_t id;
    tt_status st = tt_token_id_of(&id, pair->value, where, "vocab", err);
    if (st != TT_OK)
        return tt_err_set(err, TT_EFORMAT, "%s: vocab: \"%s\": expected an id from 0 to 2147483646", where, name);
    const char *kept = tt_arena_strn(&vocab->arena, name, n);
    if (!kept)
        return tt_err_nomem(err, n, "a vocabulary");
    bool added;
    st = tt_map_put(&vocab->ids, kept, n, (uint64_t)id, &added, NULL, err);
    if (st == TT_OK && added)
        vocab->by_id[vocab->n++] = (struct tt_vocab_token){ kept, n, id };
    return st;
}

tt_status tt_vocab_read(struct tt_vocab *out, const struct tt_value *model, const char *where, struct tt_err *err)
{
    const struct tt_value *map;
    tt_status st = tt_field_tree(&map, model, "vocab", TT_V_MAP, TT_REQUIRED, where, err);
    if (st != TT_OK)
        return st;
    out->by_id = calloc(map->u.map.n + 1, sizeof *out->by_id);
    if (!out->by_id)
        return tt_err_nomem(err, map->u.map.n * sizeof *out->by_id, "a vocabulary");
    st = tt_map_reserve(&out->ids, map->u.map.n, err);
    for (size_t i = 0; i < map->u.map.n && st == TT_OK; i++)
        st = add_token(out, &map->u.map.pairs[i], where, err);
    qsort(out->by_id, out->n, sizeof *out->by_id, by_id);
    return st;
}

void tt_vocab_release(struct tt_vocab *vocab)
{
    tt_map_release(&vocab->ids);
    tt_arena_release(&vocab->arena);
    free(vocab->by_id);
    *vocab = (struct tt_vocab){ 0 };
}

int64_t tt_vocab_nids(const struct tt_vocab *vocab) { return vocab->n ? (int64_t)vocab->by_id[vocab->n - 1].id + 1 : 0; }

int32_t tt_vocab_id(const struct tt_vocab *vocab, const char *token, size_t n)
{
    uint64_t id;
    return tt_map_get(&vocab->ids, token, n, &id) ? (int32_t)id : TT_NO_TOKEN;
}

const char *tt_vocab_token(const struct tt_vocab *vocab, int32_t id, size_t *n)
{
    const struct tt_vocab_token key = { .id = id };
    const struct tt_vocab_token *t = bsearch(&key, vocab->by_id, vocab->n, sizeof key, by_id);
    if (!t)
        return NULL;
    *n = t->n;
    return t->s;
}
