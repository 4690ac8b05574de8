/* lib/cli/opt_private.h: what the parser of options and the writers of their documents share. */
#ifndef TT_CLI_OPT_PRIVATE_H
#define TT_CLI_OPT_PRIVATE_H

#include <stdbool.h>

#include "base/buf.h"
#include "cli/opt.h"

/* The options that every program has, ended by a zeroed row; tt_prog_answer answers them. */
extern const struct tt_opt tt_opt_common[];

/* True where the two names are the same, '-' and '_' being one character; n is the length of typed. */
bool tt_opt_same_name(const char *typed, size_t n, const char *name);

void tt_opt_write_help(struct tt_buf *out, const struct tt_prog *prog);
/* part: "options", or "settings" (the rows that have a section); false: no such part. */
bool tt_opt_write_man(struct tt_buf *out, const struct tt_prog *prog, const char *part);
bool tt_opt_write_completion(struct tt_buf *out, const struct tt_prog *prog, const char *shell); /* false: no such shell */

#endif
