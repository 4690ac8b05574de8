/* lib/format/pickle_value.h: Python values (None, bool, int, float, str, bytes, list, tuple, dict) to pickles and back.
 *
 * What a checkpoint holds beside tensors, and the pickles within it: TorchTitan's dataloader state is bytes that are a pickle of
 * a dict. Reading executes nothing. A class or a function is plain data where it is one of the few in pickle_global.c (a set,
 * torch.Size, a dtype, numpy's scalars ...). A pickle that names another is refused by that name, or, where a tensor may stand
 * (pt.c), gives objects that hold the name and what it was called with: tt_value_unknown finds them, and whoever has no use for
 * them refuses. */
#ifndef TT_FORMAT_PICKLE_VALUE_H
#define TT_FORMAT_PICKLE_VALUE_H

#include "base/buf.h"
#include "format/pickler.h"
#include "value/value.h"

/* What the ref of a TT_V_OBJECT points to: Python's data that has no plain form. It is written back as it was read. */
enum tt_pyobj_kind {
    TT_PYOBJ_GLOBAL,    /* the class or function itself: torch.bfloat16 */
    TT_PYOBJ_CALL,      /* cls(*args), then its items, then BUILD with state, where there are any */
    TT_PYOBJ_NEW,       /* cls.__new__(cls, *args), the same */
    TT_PYOBJ_BIGINT,    /* an int beyond 64 bits, in `bytes`: two's complement, little-endian */
    TT_PYOBJ_OPAQUE,    /* a cls of which only that is known: `why` says what kept the rest from being read */
};

struct tt_pyobj {
    enum tt_pyobj_kind kind;
    const struct tt_py_global *cls;
    const struct tt_value *callee; /* not NULL: what is called in place of cls, an object made by a call */
    const struct tt_value *args;   /* a TUPLE */
    const struct tt_value *state;  /* NULL: none */
    const struct tt_value *items;  /* a LIST or a MAP that was put into it; NULL: none */
    const uint8_t *bytes;
    size_t nbytes;
    const char *why;
};

/* The first class or function in the value that titan does not know (its id is TT_PY_UNKNOWN, or it is one that a value cannot have);
 * NULL: it is plain data. *why (which may be NULL) is what keeps an OPAQUE one from being read, else NULL. */
const struct tt_py_global *tt_value_unknown(const struct tt_value *value, const char **why);

/* The first class in the value for which torch.load(weights_only=True) refuses the whole file (range, frozenset, numpy's); NULL: none. */
const struct tt_py_global *tt_value_refused_by_torch(const struct tt_value *value);

/* Protocol 2 to 5. The value lives in the arena and keeps nothing of `bytes`. `where` starts every message
 * ("dataloader.dp_rank_0"). An OrderedDict comes as a MAP. Cyclic values, and those that are nested or repeat themselves beyond
 * reason, are TT_EFORMAT. */
TT_MUST_CHECK tt_status tt_pickle_to_value(struct tt_arena *arena, const void *bytes, size_t nbytes, const char *where,
                                           const struct tt_value **out, struct tt_err *err);

/* Appends a whole pickle (protocol 2). TT_EUNSUPPORTED on a TENSOR in it. */
TT_MUST_CHECK tt_status tt_pickle_from_value(struct tt_buf *out, const struct tt_value *value, struct tt_err *err);

/* --- for those who have tensors inside values (pt.c) -------------------------------------------------------------------------- */

/* Makes the value of an OBJECT that stands for a tensor; TT_OK with *out NULL: it does not. */
typedef tt_status tt_py_tensor_fn(void *ctx, const struct tt_py_object *object, struct tt_value **out, struct tt_err *err);

struct tt_py_convert {
    struct tt_arena *arena;
    const char *where;
    tt_py_tensor_fn *tensor; /* NULL: tensors are refused, and so is every call of what is no plain data */
    void *ctx;
    uint64_t nvisited; /* starts at 0: bounds the work on values that repeat themselves */
};

TT_MUST_CHECK tt_status tt_py_to_value(struct tt_py_convert *how, const struct tt_py *node, struct tt_value **out,
                                       struct tt_err *err);

typedef tt_status tt_pk_tensor_fn(void *ctx, struct tt_pickler *pk, const void *ref, struct tt_err *err);
/* Writes a value into a running pickle; tensor NULL: TT_EUNSUPPORTED on one. */
TT_MUST_CHECK tt_status tt_pk_value(struct tt_pickler *pk, const struct tt_value *value, tt_pk_tensor_fn *tensor, void *ctx,
                                    struct tt_err *err);

#endif
