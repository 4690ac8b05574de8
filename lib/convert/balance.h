/* lib/convert/balance.h: which of several files is to have what each of them could, so that they come out alike in size.
 *
 * What few files may have is given out before what any may, the largest first, each to the file with the fewest bytes so far. */
#ifndef TT_CONVERT_BALANCE_H
#define TT_CONVERT_BALANCE_H

#include "ckpt/recipe.h"

/* The files that may have something: `ranks` (nranks) counted from each of `bases` (nbases). */
struct tt_candidates {
    const uint32_t *ranks; /* NULL: any file */
    uint32_t nranks;
    const uint32_t *bases;
    uint32_t nbases;
};

struct tt_balance {
    uint64_t *load; /* (nfiles) bytes */
    uint32_t nfiles;
    struct tt_choice *choices; /* (n) still open */
    size_t n, cap;
};

TT_MUST_CHECK tt_status tt_balance_init(struct tt_balance *b, uint32_t nfiles, struct tt_err *err);
void tt_balance_release(struct tt_balance *b); /* fine on a zeroed struct */

/* A chunk of nbytes whose file is decided later: `placed` and what the candidates point to are borrowed until then. */
TT_MUST_CHECK tt_status tt_balance_open(struct tt_balance *b, struct tt_placed *placed, uint64_t nbytes,
                                        const struct tt_candidates *among, struct tt_err *err);

/* Sets the file of every chunk that is open. */
TT_MUST_CHECK tt_status tt_balance_decide(struct tt_balance *b, struct tt_err *err);

#endif
