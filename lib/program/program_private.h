/* lib/program/program_private.h: the passes over a program that the recorder and the differentiation share. */
#ifndef TT_PROGRAM_PROGRAM_PRIVATE_H
#define TT_PROGRAM_PROGRAM_PRIVATE_H

#include "program/record.h"

/* A cast of what an op made, where nobody else reads that: the op writes the cast's type itself. */
TT_MUST_CHECK tt_status tt_program_fold_casts(struct tt_program *prog, struct tt_err *err);

/* Drops operations whose results nobody reads. */
TT_MUST_CHECK tt_status tt_program_drop_dead(struct tt_program *prog, struct tt_err *err);

/* v, or, where v is not kept for the backward, the copy that is made again there (recorded on first use). */
tt_val tt_rec_remade(struct tt_rec *rec, tt_val v);

#endif
