/* lib/model/model.h: the forward function of each family, written once as mathematics (record.h has the words). */
#ifndef TT_MODEL_MODEL_H
#define TT_MODEL_MODEL_H

#include "program/record.h"

/* Records tokens, positions and documents to the loss, or to the logits of the next token (record.h). */
typedef void tt_forward(struct tt_rec *rec, const struct tt_model_args *args);

tt_forward tt_llama3_forward;

/* The forward function of a family (by its name); NULL where there is none. */
tt_forward *tt_model_forward(const struct tt_family *family);

/* Does this model attend within documents? (flex and varlen flavors with block_causal masks) */
bool tt_model_wants_documents(const struct tt_model_args *args);

#endif
