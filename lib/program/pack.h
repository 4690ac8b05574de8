/* lib/program/pack.h: buffers with lifetimes into as little memory as possible: those that are never alive together may overlap. */
#ifndef TT_PROGRAM_PACK_H
#define TT_PROGRAM_PACK_H

#include <stdint.h>

#include "base/err.h"

struct tt_span {
    int begin, end; /* alive from the one to the other, both included */
};

struct tt_item {
    uint64_t nbytes;
    const struct tt_span *span; /* in order of time, without overlap; borrowed */
    int nspans;
    uint64_t offset; /* what tt_pack finds: a multiple of align */
};

/* Greedy, in each of four orders (largest, oldest, last to go, most bytes times life first), whichever comes out smallest. *total is
 * where the last item ends, *live_max the most bytes alive at one time, below which no packing can get. */
TT_MUST_CHECK tt_status tt_pack(struct tt_item *items, int n, uint64_t align, uint64_t *total, uint64_t *live_max,
                                struct tt_err *err);

#endif
