/* lib/ckpt/pipe_private.h: what pipe.c and pipe_pt.c share. */
#ifndef TT_CKPT_PIPE_PRIVATE_H
#define TT_CKPT_PIPE_PRIVATE_H

#include "base/instream.h"
#include "ckpt/ckpt.h"

TT_MUST_CHECK tt_status tt_pipe_open_pt(struct tt_ckpt *ckpt, struct tt_instream *in, struct tt_err *err);

#endif
