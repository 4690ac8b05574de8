#include <stdlib.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/bytes.h"
#include "format/pickle_private.h"

enum {
    SHORT_SLOTS = 256, /* that BINGET can name, in a byte: all of them are kept */
    FOUND_MIN = 2048,
};

static bool grow(struct tt_py_gets *gets)
{
    struct tt_py_gets bigger = { .nfound = gets->nfound ? gets->nfound * 2 : FOUND_MIN, .n = gets->n };

    bigger.found = calloc(bigger.nfound, sizeof *bigger.found);
    if (!bigger.found)
        return false;
    for (uint64_t i = 0; i < gets->nfound; i++)
        if (gets->found[i].i)
            *tt_py_gets_find(&bigger, gets->found[i].slot) = gets->found[i];
    free(gets->found);
    *gets = bigger;
    return true;
}

static bool want(struct tt_py_gets *gets, uint32_t slot)
{
    if (!gets->found && !grow(gets))
        return false;
    struct tt_py_slot *s = tt_py_gets_find(gets, slot);
    if (s->i)
        return true;
    *s = (struct tt_py_slot){ slot, ++gets->n };
    return gets->n < gets->nfound / 2 || grow(gets);
}

enum { BLOCK = 64 };

/* Which of BLOCK bytes could be a LONG_BINGET; the first is the lowest bit. */
static inline uint64_t find_gets(const uint8_t *bytes)
{
    uint64_t found = 0;
#ifdef __SSE2__
    const __m128i op = _mm_set1_epi8(OP_LONG_BINGET);
    for (int i = 0; i < BLOCK; i += 16) {
        const __m128i same = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)(bytes + i)), op);
        found |= (uint64_t)(uint32_t)_mm_movemask_epi8(same) << i;
    }
#else
    for (int i = 0; i < BLOCK; i++)
        found |= (uint64_t)(bytes[i] == OP_LONG_BINGET) << i;
#endif
    return found;
}

/* The slots are few, and most were seen just before. What only looks like an opcode does no harm. */
static inline bool note_get(struct tt_py_gets *gets, const uint8_t *bytes, size_t nbytes, size_t at)
{
    if (nbytes - at < 5)
        return true;
    const uint32_t slot = tt_load_le32(bytes + at + 1);
    uint32_t *seen = &gets->seen[slot % (sizeof gets->seen / sizeof *gets->seen)];
    if (*seen == slot || slot > nbytes) /* Python numbers them from 0, and spends a byte on each */
        return true;
    *seen = slot; /* 0 is among the short ones */
    return want(gets, slot);
}

bool tt_py_gets_scan(struct tt_py_gets *gets, const uint8_t *bytes, size_t nbytes, size_t begin, size_t end)
{
    bool ok = true;

    for (; end - begin >= BLOCK && ok; begin += BLOCK)
        for (uint64_t found = find_gets(bytes + begin); found; found &= found - 1)
            ok &= note_get(gets, bytes, nbytes, begin + (size_t)__builtin_ctzll(found));
    for (; begin < end && ok; begin++)
        if (bytes[begin] == OP_LONG_BINGET)
            ok = note_get(gets, bytes, nbytes, begin);
    return ok;
}

bool tt_py_gets_join(struct tt_py_gets *gets, const struct tt_py_gets *other)
{
    bool ok = true;

    for (uint64_t i = 0; i < other->nfound && ok; i++)
        if (other->found[i].i)
            ok = want(gets, other->found[i].slot);
    return ok;
}

void tt_py_gets_release(struct tt_py_gets *gets) { free(gets->found); }

static int ascending(const void *pa, const void *pb)
{
    const uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
    return a < b ? -1 : a > b;
}

/* The slots in order, and a place for the value of each. */
static bool make_places(struct tt_py_memo *memo)
{
    const struct tt_py_gets *gets = &memo->gets;
    uint32_t n = 0;

    memo->slots = tt_arena_array(&memo->arena, gets->n, sizeof *memo->slots);
    memo->kept = tt_arena_array(&memo->arena, gets->n, sizeof *memo->kept);
    if (!memo->slots || !memo->kept)
        return false;
    for (uint64_t i = 0; i < gets->nfound; i++)
        if (gets->found[i].i)
            memo->slots[n++] = gets->found[i].slot;
    qsort(memo->slots, n, sizeof *memo->slots, ascending);
    for (uint32_t i = 0; i < n; i++) {
        tt_py_gets_find(gets, memo->slots[i])->i = i + 1;
        memo->kept[i].kind = TT_PY_UNSET;
    }
    return true;
}

bool tt_py_memo_init(struct tt_py_memo *memo, const uint8_t *bytes, size_t nbytes, const struct tt_py_gets *known)
{
    *memo = (struct tt_py_memo){ 0 };
    bool ok = true;

    for (uint32_t slot = 0; slot < SHORT_SLOTS && ok; slot++)
        ok = want(&memo->gets, slot);
    ok = ok && (known ? tt_py_gets_join(&memo->gets, known) : tt_py_gets_scan(&memo->gets, bytes, nbytes, 0, nbytes));
    return ok && make_places(memo);
}

void tt_py_memo_release(struct tt_py_memo *memo)
{
    tt_py_gets_release(&memo->gets);
    tt_arena_release(&memo->arena);
}
