#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "format/pickle_private.h"

/* Slots that BINGET can name, in a byte. They are few: all of them are kept. */
enum { SHORT_SLOTS = 256 };

static inline void want(struct tt_py_memo *memo, const uint8_t *bytes, size_t nbytes, size_t at)
{
    if (nbytes - at < 5)
        return;
    const uint32_t slot = tt_load_le32(bytes + at + 1);
    if (slot > nbytes) /* Python numbers them from 0, and spends a byte on each */
        return;
    memo->wanted[slot / 64] |= UINT64_C(1) << slot % 64;
    if (slot / 64 >= memo->nwords)
        memo->nwords = slot / 64 + 1;
}

/* A bit for each slot behind a byte that could be a LONG_BINGET; what only looks like one does no harm. Eight bytes at a time: a large
 * .metadata has a million of them. */
static void find_wanted(struct tt_py_memo *memo, const uint8_t *bytes, size_t nbytes)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), low7 = ones * 0x7f;
    size_t at = 0;

    for (; nbytes - at >= 8; at += 8) {
        const uint64_t x = tt_load_le64(bytes + at) ^ ones * OP_LONG_BINGET; /* a byte that is 0 was one */
        for (uint64_t hits = ~(((x & low7) + low7) | x | low7); hits; hits &= hits - 1)
            want(memo, bytes, nbytes, at + (size_t)__builtin_ctzll(hits) / 8);
    }
    for (; at < nbytes; at++)
        if (bytes[at] == OP_LONG_BINGET)
            want(memo, bytes, nbytes, at);
}

bool tt_py_memo_init(struct tt_py_memo *memo, const uint8_t *bytes, size_t nbytes)
{
    const size_t nwords = nbytes / 64 + 1;
    uint32_t n = 0;

    *memo = (struct tt_py_memo){ .nwords = nwords < SHORT_SLOTS / 64 ? nwords : SHORT_SLOTS / 64 };
    memo->wanted = calloc(nwords, sizeof *memo->wanted);
    if (!memo->wanted)
        return false;
    for (size_t i = 0; i < memo->nwords; i++)
        memo->wanted[i] = UINT64_MAX;
    find_wanted(memo, bytes, nbytes);
    memo->before = malloc(memo->nwords * sizeof *memo->before);
    if (!memo->before)
        return false;
    for (size_t i = 0; i < memo->nwords; i++) {
        memo->before[i] = n;
        n += tt_popcount(memo->wanted[i]);
    }
    memo->kept = malloc(n * sizeof *memo->kept);
    for (uint32_t i = 0; memo->kept && i < n; i++)
        memo->kept[i].kind = TT_PY_UNSET;
    return memo->kept != NULL;
}

void tt_py_memo_release(struct tt_py_memo *memo)
{
    free(memo->wanted);
    free(memo->before);
    free(memo->kept);
}
