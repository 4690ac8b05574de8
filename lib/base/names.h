/* lib/base/names.h: a list of names in a message: "a, b, c and 12 more". */
#ifndef TT_BASE_NAMES_H
#define TT_BASE_NAMES_H

#include "base/buf.h"

struct tt_names_text { /* zeroed: of none */
    struct tt_buf text;
    size_t n; /* names so far; the first 10 are in the text */
};

void tt_names_text_add(struct tt_names_text *names, const char *name);
/* The text, borrowed until the release; once. */
const char *tt_names_text_end(struct tt_names_text *names);
void tt_names_text_release(struct tt_names_text *names);

#endif
