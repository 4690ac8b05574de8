/* lib/base/glob.h: shell patterns over whole strings.
 *
 *   *        any bytes, none too, dots and slashes among them
 *   ?        one character (UTF-8)
 *   [abc-e]  one of these bytes; [!..] and [^..]: none of them; a ] that comes first is one of them
 *   \x       x itself
 *
 * Source: POSIX.1-2017, Shell Command Language, 2.13.1, without its classes. */
#ifndef TT_BASE_GLOB_H
#define TT_BASE_GLOB_H

#include <stdbool.h>

#include "base/err.h"

/* Whether the pattern is well-formed. TT_EINVAL: a [ without its ], a range from a larger to a smaller byte, a \ at the end,
 * nothing at all. */
TT_MUST_CHECK tt_status tt_glob_check(const char *pattern, struct tt_err *err);

/* Whether all of `text` matches. False for a pattern that is not well-formed. Time is at most their lengths' product. */
bool tt_glob_match(const char *pattern, const char *text);

#endif
