#include "base/glob.h"

#include <stdint.h>
#include <string.h>

/* Behind the set that starts at p (a '['), or NULL where it has no end or a range runs backwards; *is_in: whether c is in it. */
static const char *scan_set(const char *p, uint8_t c, bool *is_in)
{
    const bool negated = p[1] == '!' || p[1] == '^';
    const char *first = p + 1 + negated;
    bool found = false;

    for (p = first; *p && (*p != ']' || p == first);) {
        const uint8_t low = (uint8_t)*p;
        const bool is_range = p[1] == '-' && p[2] && p[2] != ']';
        const uint8_t high = is_range ? (uint8_t)p[2] : low;
        if (low > high)
            return NULL;
        found |= low <= c && c <= high;
        p += is_range ? 3 : 1;
    }
    *is_in = found != negated;
    return *p ? p + 1 : NULL;
}

tt_status tt_glob_check(const char *pattern, struct tt_err *err)
{
    bool is_in;

    if (!*pattern)
        return tt_err_set(err, TT_EINVAL, "an empty pattern matches nothing");
    for (const char *p = pattern; *p;) {
        if (*p == '\\' && !p[1])
            return tt_err_set(err, TT_EINVAL, "pattern '%s': nothing follows the \\ at its end", pattern);
        const char *next = *p == '[' ? scan_set(p, 0, &is_in) : p + 1 + (*p == '\\');
        if (!next)
            return tt_err_set(err, TT_EINVAL, "pattern '%s': no set of bytes starts at its character %d: '%.8s'", pattern,
                              (int)(p - pattern) + 1, p);
        p = next;
    }
    return TT_OK;
}

/* Bytes of the character at p, which is not the end. */
static size_t character(const char *p)
{
    size_t n = 1;
    while (((uint8_t)p[n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* One step over a pattern that does not start with '*': false where it does not match, else both move on. */
static bool step(const char **pattern, const char **text)
{
    const char *p = *pattern;
    bool is_in = false;

    if (*p == '?') {
        *pattern += 1;
        *text += character(*text);
        return true;
    }
    if (*p == '[') {
        *pattern = scan_set(p, (uint8_t)**text, &is_in);
        *text += 1;
        return *pattern && is_in;
    }
    p += *p == '\\';
    *pattern = p + 1;
    return *p && *p == *(*text)++;
}

/* Only the last * is ever tried again: whatever an earlier one could take, the later one can. */
bool tt_glob_match(const char *pattern, const char *text)
{
    const char *star = NULL, *retry = NULL;

    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            retry = text;
        } else if (!*pattern || !step(&pattern, &text)) {
            if (!star)
                return false;
            pattern = star;
            text = ++retry;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}
