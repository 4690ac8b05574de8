/* lib/ckpt/audit.h: whether a checkpoint is whole: all that its catalogue says against what is in its files. */
#ifndef TT_CKPT_AUDIT_H
#define TT_CKPT_AUDIT_H

#include <stdio.h>

#include "ckpt/ckpt.h"
#include "ckpt/task.h"

/* Prints a line for each thing that is wrong, naming file, key and byte, and one in the end that counts them and what was checked;
 * *good where there are none. It goes on after what is wrong, as far as anything can be told behind it.
 *
 *   everywhere    what opening a checkpoint checks (lib/ckpt/ckpt.h)
 *   DCP           each tensor is tiled by its chunks; each item lies inside its file, overlaps no other and is a whole torch zip; the
 *                 CRC-32 of each record in it; it holds what the catalogue says, of that dtype and shape
 *   .pt           the CRC-32 of each record
 *   safetensors   has no CRCs: header and length alone
 *
 * A filter chooses the items that are looked into, of a DCP folder; the rest is checked all the same.
 *
 * Bytes of a .distcp file that no item has are counted, and are not wrong. A value whose pickle names what titan does not know is not
 * wrong either. */
TT_MUST_CHECK tt_status tt_ckpt_audit(FILE *out, const char *path, const struct tt_task *task, bool *good, struct tt_err *err);

#endif
