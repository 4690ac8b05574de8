/* lib/value/toml_private.h: what the two halves of the TOML reader share. */
#ifndef TT_VALUE_TOML_PRIVATE_H
#define TT_VALUE_TOML_PRIVATE_H

#include "value/value.h"

struct tt_toml {
    const char *p, *end;
    uint32_t line;
    const char *path;
    struct tt_arena *arena;
    struct tt_err *err;
    struct tt_value *root, *table; /* table: where a pair goes */
    uint32_t section, nsections;   /* the header or inline table that pairs are read under, and how many there were */
    int depth;                     /* of the table that is open, below the root */
};

tt_status tt_toml_nomem(const struct tt_toml *t);
/* "path:line: expected WHAT, found <what is at p>" */
tt_status tt_toml_expected(const struct tt_toml *t, const char *what);

/* The value of a digit of the base, or -1. */
static inline int tt_toml_digit(char c, int base)
{
    const int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
    return v < base ? v : -1;
}

/* A boolean, integer, float, date or time at p. */
tt_status tt_toml_scalar(struct tt_toml *t, struct tt_value **out);

#endif
