/* lib/data/steps.h: the steps of one part of a tokenizer.json (normalizer, pre_tokenizer, post_processor, decoder): an object whose
 * "type" says what it does, or a Sequence, whose list holds others in their order. */
#ifndef TT_DATA_STEPS_H
#define TT_DATA_STEPS_H

#include "base/err.h"
#include "value/value.h"

enum { TT_STEPS_MAX = 64 };

/* Takes one step into what is being read. where: its place, "tok/tokenizer.json: decoder.decoders[1]". */
typedef tt_status tt_step_add(void *out, const char *type, const struct tt_value *v, const char *where, struct tt_err *err);

/* Calls add for v, or for each step of the Sequence that it is, whose list is under `list`; for none where v is NULL or null.
 * TT_EFORMAT: a step without a type, a Sequence without a list. TT_EUNSUPPORTED: more than TT_STEPS_MAX steps, or more than 16
 * Sequences inside each other. */
TT_MUST_CHECK tt_status tt_steps_read(void *out, tt_step_add *add, const struct tt_value *v, const char *list, const char *where,
                                      struct tt_err *err);

#endif
