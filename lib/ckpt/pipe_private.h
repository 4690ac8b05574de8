/* lib/ckpt/pipe_private.h: torch zips as they pass by, for pipes and for compressed items. */
#ifndef TT_CKPT_PIPE_PRIVATE_H
#define TT_CKPT_PIPE_PRIVATE_H

#include "base/instream.h"
#include "ckpt/ckpt.h"
#include "format/pt.h"

/* Takes all of the archive, whose first record is data.pkl: its value, with the places of its storages in the archive, lives in the
 * arena. Records are checked against their CRCs; *nrecords and *nbytes count what was. TT_EFORMAT with the offset. */
TT_MUST_CHECK tt_status tt_pipe_walk_pt(struct tt_pt *out, struct tt_arena *arena, struct tt_instream *in, uint64_t *nrecords,
                                        uint64_t *nbytes, struct tt_err *err);

TT_MUST_CHECK tt_status tt_pipe_open_pt(struct tt_ckpt *ckpt, struct tt_instream *in, struct tt_err *err);

#endif
