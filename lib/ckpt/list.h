/* lib/ckpt/list.h: what is in a checkpoint, for people (a table) and programs (JSON). */
#ifndef TT_CKPT_LIST_H
#define TT_CKPT_LIST_H

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"

struct tt_ckpt_list_opts {
    bool json; /* one object a line and entry */
};

/* Lists every entry, in the checkpoint's order; path "-" is a pipe, stdin (lib/ckpt/pipe.h). A value that cannot be read does not end the list: it is marked, and the first of
 * them is the error in the end. */
TT_MUST_CHECK tt_status tt_ckpt_list(FILE *out, const char *path, const struct tt_ckpt_list_opts *how, struct tt_err *err);

#endif
