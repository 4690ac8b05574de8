/* lib/data/bpe_private.h: what reading a model (bpe.c) and merging a word (bpe_merge.c) share. */
#ifndef TT_DATA_BPE_PRIVATE_H
#define TT_DATA_BPE_PRIVATE_H

#include "base/arena.h"
#include "data/bpe.h"

/* Open addressing, nslots a power of two, at most half full; a free slot has new_id TT_NO_TOKEN. */
struct tt_merge {
    int32_t left, right;
    uint32_t rank;
    int32_t new_id;
};

enum { TT_BPE_FAST_CHARS = 0x180 }; /* every character of byte-level text is below this */

struct tt_bpe {
    struct tt_arena arena;
    const struct tt_vocab *vocab;
    struct tt_merge *merges;
    size_t nslots;
    int32_t char_id[TT_BPE_FAST_CHARS]; /* of one-character tokens */
    int32_t byte_id[256];               /* byte_fallback's <0x00> ... <0xFF> */
    bool ignore_merges, fuse_unk, byte_fallback;
    const char *unk; /* NULL: a character without a token vanishes */
    size_t nunk;
    int32_t unk_id;
    char *where;
};

static inline uint64_t tt_merge_hash(int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

static inline const struct tt_merge *tt_merge_find(const struct tt_bpe *bpe, int32_t left, int32_t right)
{
    for (size_t i = tt_merge_hash(left, right);; i++) {
        const struct tt_merge *m = &bpe->merges[i & (bpe->nslots - 1)];
        if (m->new_id == TT_NO_TOKEN)
            return NULL;
        if (m->left == left && m->right == right)
            return m;
    }
}

#endif
