/* lib/ckpt/list.h: what is in a checkpoint, for people (a table, a tree, a drawing of the shards) and for programs (JSON). From the
 * catalogue alone, and the values; tensor data is not read. */
#ifndef TT_CKPT_LIST_H
#define TT_CKPT_LIST_H

#include <stdio.h>

#include "base/err.h"
#include "ckpt/filter.h"

enum tt_list_form {
    TT_LIST_TABLE,  /* a line a key */
    TT_LIST_JSON,   /* an object a line and key */
    TT_LIST_CHUNKS, /* a line a chunk: its region, and where it lies */
    TT_LIST_TREE,   /* keys by their parts; layers that are alike once */
    TT_LIST_LAYOUT, /* which rank or file holds which region of a tensor */
};

struct tt_ckpt_list_opts {
    enum tt_list_form form;
    struct tt_key_filter filter;
};

/* Lists every entry that is taken, in the checkpoint's order; path as for tt_ckpt_open_catalogue (lib/ckpt/pipe.h). A value that
 * cannot be read does not end the list: it is marked, and the first of them is the error in the end. */
TT_MUST_CHECK tt_status tt_ckpt_list(FILE *out, const char *path, const struct tt_ckpt_list_opts *how, struct tt_err *err);

#endif
