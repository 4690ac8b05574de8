/* lib/family/args_private.h: the fields that a flavor file of each family may have: what lib/family/args.c reads and writes by. */
#ifndef TT_FAMILY_ARGS_PRIVATE_H
#define TT_FAMILY_ARGS_PRIVATE_H

#include <stddef.h>

#include "family/args.h"

enum tt_args_kind {
    TT_ARGS_COUNT,  /* int64_t of at least 1 */
    TT_ARGS_COUNT0, /* int64_t of at least 0 */
    TT_ARGS_NUMBER, /* double above 0 */
    TT_ARGS_BOOL,
    TT_ARGS_CHOICE,
    TT_ARGS_TABLE, /* bool: whether the fields below this path are there at all; null: not */
};

struct tt_args_field {
    const char *name; /* nested ones by a path: "rope_scaling_args.scaling_factor" */
    size_t offset;
    enum tt_args_kind kind;
    bool or_null;               /* COUNT, COUNT0, NUMBER: null is allowed, and stands for */
    double null;                /* this; where that is 0, 0 is written as null */
    const char *const *choices; /* of an enum, in its order, NULL at the end */
};

/* A family's model args: its fields, and the defaults that TorchTitan's class has. A new family is a new row. */
struct tt_args_family {
    const char *name;
    const struct tt_args_field *fields; /* ended by a name of NULL */
    const struct tt_model_args *defaults;
};

enum { TT_ARGS_NFAMILIES = 5 };
extern const struct tt_args_family tt_args_families[TT_ARGS_NFAMILIES];

#endif
