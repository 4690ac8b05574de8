/* lib/base/nearest.h: "did you mean ...?" */
#ifndef TT_BASE_NEAREST_H
#define TT_BASE_NEAREST_H

#include <stddef.h>

/* The name nearest to what was typed (edit distance, at most a third of its length; case does not count, '-' is '_'), or NULL. */
const char *tt_nearest_name(const char *typed, const char *const *names, size_t n);

#endif
