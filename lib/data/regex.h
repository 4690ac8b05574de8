/* lib/data/regex.h: Oniguruma's regular expressions, as tokenizer.json has them, matched by PCRE2.
 *
 * The pattern is rewritten into PCRE2's syntax so that it means what it means to Oniguruma:
 *   ^ and $ match at lines, (?m) is "dot matches newline", {n,m}+ repeats a repetition, \h is a hex digit, \v a vertical tab
 *   \s \d \w \b and \p{L} mean what Oniguruma's Unicode says (unicode.h), whichever PCRE2 is installed
 * What has no exact counterpart (nested or intersected sets, POSIX brackets, \W in a set, absent expressions ...) is
 * TT_EUNSUPPORTED. */
#ifndef TT_DATA_REGEX_H
#define TT_DATA_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "value/value.h"

struct tt_regex;         /* never changes: shared between threads */
struct tt_regex_scratch; /* of one thread, for any regex */

/* The rewriting alone: appends PCRE2's pattern. `where` names the pattern in messages ("tok/tokenizer.json: pre_tokenizer"). */
TT_MUST_CHECK tt_status tt_regex_translate(struct tt_buf *out, const char *pattern, size_t nbytes, const char *where,
                                           struct tt_err *err);

/* literal: pattern is plain text, not an expression. */
TT_MUST_CHECK tt_status tt_regex_new(struct tt_regex **out, const char *pattern, size_t nbytes, bool literal, const char *where,
                                     struct tt_err *err);
/* "pattern" of v: {"Regex": "..."} or {"String": "..."}. */
TT_MUST_CHECK tt_status tt_regex_read(struct tt_regex **out, const struct tt_value *v, const char *where, struct tt_err *err);
void tt_regex_free(struct tt_regex *re);

TT_MUST_CHECK tt_status tt_regex_scratch_new(struct tt_regex_scratch **out, struct tt_err *err);
void tt_regex_scratch_free(struct tt_regex_scratch *scratch);

/* Matches of a text, one after another as Oniguruma's iterator finds them (an empty match right behind a match does not count). */
struct tt_regex_iter {
    const struct tt_regex *re;
    struct tt_regex_scratch *scratch;
    const char *text; /* valid UTF-8, nbytes of it */
    size_t nbytes, from, last_end;
    bool any; /* there was a match */
};

/* *found: whether [*start, *end) is the next match. TT_EFORMAT: the pattern needs more steps or memory than is reasonable. */
TT_MUST_CHECK tt_status tt_regex_next(struct tt_regex_iter *it, bool *found, size_t *start, size_t *end, struct tt_err *err);

/* Every match of a pattern becomes a text. */
struct tt_replacement {
    struct tt_regex *re;
    char *by;
    size_t nby;
};

/* "pattern" and "content" of v. Release *out in any case. */
TT_MUST_CHECK tt_status tt_replacement_read(struct tt_replacement *out, const struct tt_value *v, const char *where,
                                            struct tt_err *err);
void tt_replacement_release(struct tt_replacement *r);

/* Appends s with every match replaced; an empty s stays so. *head: how many bytes of s, at its beginning, stand for
 * something that the caller follows; then how many of the result do. What replaces several characters stands for the last. */
TT_MUST_CHECK tt_status tt_replace(const struct tt_replacement *r, struct tt_regex_scratch *scratch, struct tt_buf *out,
                                   const char *s, size_t n, size_t *head, struct tt_err *err);

#endif
