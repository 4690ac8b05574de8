#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "format/pickle_private.h"

enum {
    SHORT_SLOTS = 256, /* that BINGET can name, in a byte: all of them are kept */
    FOUND_MIN = 2048,
};

static bool grow(struct tt_py_memo *memo)
{
    struct tt_py_memo bigger = { .nfound = memo->nfound ? memo->nfound * 2 : FOUND_MIN };

    bigger.found = calloc(bigger.nfound, sizeof *bigger.found);
    if (!bigger.found)
        return false;
    for (uint64_t i = 0; i < memo->nfound; i++)
        if (memo->found[i].i)
            *tt_py_memo_find(&bigger, memo->found[i].slot) = memo->found[i];
    free(memo->found);
    memo->found = bigger.found;
    memo->nfound = bigger.nfound;
    return true;
}

static bool want(struct tt_py_memo *memo, uint32_t slot)
{
    struct tt_py_slot *s = tt_py_memo_find(memo, slot);

    if (s->i)
        return true;
    *s = (struct tt_py_slot){ slot, ++memo->n };
    return memo->n < memo->nfound / 2 || grow(memo);
}

/* What is behind a byte that could be a LONG_BINGET; what only looks like one does no harm. */
static inline bool want_behind(struct tt_py_memo *memo, const uint8_t *bytes, size_t nbytes, size_t at)
{
    if (nbytes - at < 5)
        return true;
    const uint32_t slot = tt_load_le32(bytes + at + 1);
    return slot > nbytes || want(memo, slot); /* Python numbers them from 0, and spends a byte on each */
}

/* Eight bytes at a time: a large .metadata has a million of them, of few slots. */
static bool find_wanted(struct tt_py_memo *memo, const uint8_t *bytes, size_t nbytes)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), low7 = ones * 0x7f;
    bool ok = true;
    size_t at = 0;

    for (; nbytes - at >= 8 && ok; at += 8) {
        const uint64_t x = tt_load_le64(bytes + at) ^ ones * OP_LONG_BINGET; /* a byte that is 0 was one */
        for (uint64_t hits = ~(((x & low7) + low7) | x | low7); hits; hits &= hits - 1)
            ok &= want_behind(memo, bytes, nbytes, at + (size_t)__builtin_ctzll(hits) / 8);
    }
    for (; at < nbytes && ok; at++)
        if (bytes[at] == OP_LONG_BINGET)
            ok = want_behind(memo, bytes, nbytes, at);
    return ok;
}

static int ascending(const void *pa, const void *pb)
{
    const uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
    return a < b ? -1 : a > b;
}

/* The slots in order, and a place for the value of each. */
static bool make_places(struct tt_py_memo *memo)
{
    uint32_t n = 0;

    memo->slots = tt_arena_array(&memo->arena, memo->n, sizeof *memo->slots);
    memo->kept = tt_arena_array(&memo->arena, memo->n, sizeof *memo->kept);
    if (!memo->slots || !memo->kept)
        return false;
    for (uint64_t i = 0; i < memo->nfound; i++)
        if (memo->found[i].i)
            memo->slots[n++] = memo->found[i].slot;
    qsort(memo->slots, n, sizeof *memo->slots, ascending);
    for (uint32_t i = 0; i < n; i++) {
        tt_py_memo_find(memo, memo->slots[i])->i = i + 1;
        memo->kept[i].kind = TT_PY_UNSET;
    }
    return true;
}

bool tt_py_memo_init(struct tt_py_memo *memo, const uint8_t *bytes, size_t nbytes)
{
    *memo = (struct tt_py_memo){ 0 };
    bool ok = grow(memo);

    for (uint32_t slot = 0; slot < SHORT_SLOTS && ok; slot++)
        ok = want(memo, slot);
    return ok && find_wanted(memo, bytes, nbytes) && make_places(memo);
}

void tt_py_memo_release(struct tt_py_memo *memo)
{
    free(memo->found);
    tt_arena_release(&memo->arena);
}
