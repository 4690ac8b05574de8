/* lib/ckpt/list_private.h: what the forms of a list share. */
#ifndef TT_CKPT_LIST_PRIVATE_H
#define TT_CKPT_LIST_PRIVATE_H

#include "ckpt/list.h"
#include "ckpt/show.h"
#include "ckpt/values.h"

struct tt_lister {
    FILE *out;
    const char *path;
    struct tt_ckpt *ckpt;
    const struct tt_ckpt_list_opts *how;
    struct tt_values *values;
    struct tt_arena arena;   /* of what lives as long as the list */
    struct tt_arena scratch; /* of the value at hand */
    struct tt_buf text;      /* what is to be printed */
    struct tt_map by_item;   /* from an item's bytes to its rendered text, an index into: */
    struct tt_buf *rendered; /* (nrendered) */
    size_t nrendered, rendered_cap;
    int key_width;
    tt_status status; /* of the first value that could not be read */
    struct tt_err first;
    struct tt_err *err;
};

/* The value as a column of the table, or as JSON; borrowed until the next call. It is rendered once for all items of the same bytes:
 * the 12 settings of 700 parameters are a dozen different items. */
TT_MUST_CHECK tt_status tt_list_value(struct tt_lister *l, const struct tt_entry *entry, bool json, const struct tt_buf **out);

/* Prints what is in l->text where that is much, or all of it. */
TT_MUST_CHECK tt_status tt_list_flush(struct tt_lister *l, bool all);

TT_MUST_CHECK tt_status tt_list_tree(struct tt_lister *l);
TT_MUST_CHECK tt_status tt_list_layout(struct tt_lister *l);

#endif
