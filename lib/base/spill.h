/* lib/base/spill.h: the standard input as a file that can be read at any offset. */
#ifndef TT_BASE_SPILL_H
#define TT_BASE_SPILL_H

#include "base/err.h"

/* After it, "/dev/stdin" is a regular file with what stdin had left to give. Where it is a file already, at its start, nothing
 * happens; else it is copied to a temporary one without a name, which is gone when the process is. That one lies in `folder`, or
 * where that is not there (yet), in the first of the folders above it that is. TT_EIO, TT_EINVAL (a terminal). */
TT_MUST_CHECK tt_status tt_spill_stdin(const char *folder, struct tt_err *err);

#endif
