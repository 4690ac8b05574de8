/* lib/convert/position.h: the position in the data, for a job with other data-parallel ranks than the one that saved it. */
#ifndef TT_CONVERT_POSITION_H
#define TT_CONVERT_POSITION_H

#include "ckpt/recipe.h"

/* How many data-parallel ranks saved the position: dataloader.world_size. 0: there is none, or it is titan's own, which fits any number
 * of ranks. */
TT_MUST_CHECK tt_status tt_position_degree(int64_t *out, struct tt_ckpt *ckpt, struct tt_err *err);

/* What became of it. */
enum tt_position {
    TT_POSITION_EXACT, /* TorchTitan's entries, for the new ranks: nothing was taken, or nothing by any rank but the first, and one
                        * rank takes over */
    TT_POSITION_TITAN, /* titan's own, dataloader.titan_position (man/titan-dcp.5): TorchTitan cannot go on from it */
    TT_POSITION_NONE,  /* left out: of a form that cannot be given to other ranks */
};

/* Appends the position that n ranks saved as that of `degree` ranks, which are not n. */
TT_MUST_CHECK tt_status tt_position_convert(enum tt_position *out, struct tt_recipe *recipe, struct tt_ckpt *ckpt, int64_t n,
                                            int64_t degree, struct tt_err *err);

/* Whether a rank's position, unpickled, is that of several worker processes that each read files of a streamed dataset: only as titan's
 * own can it be gone on from. */
bool tt_position_is_divided(const struct tt_value *state);

/* The position that n ranks saved as titan's own, in arena. *out NULL: of a form that cannot be given to other ranks. */
TT_MUST_CHECK tt_status tt_position_titan(struct tt_value **out, struct tt_arena *arena, struct tt_ckpt *ckpt, int64_t n,
                                          struct tt_err *err);

/* The same of one rank, `rank` of n, from its position as the loader has it: the list of its streams. *out NULL: as there. */
TT_MUST_CHECK tt_status tt_position_streams(struct tt_value **out, struct tt_arena *arena, const struct tt_value *state, int64_t rank,
                                            int64_t n, struct tt_err *err);

/* That of all ranks, of their lists of streams, in arena, as the values are. */
TT_MUST_CHECK tt_status tt_position_of_streams(struct tt_value **out, struct tt_arena *arena, struct tt_value *const *streams,
                                               int64_t n, struct tt_err *err);

#endif
