/* lib/format/pickle_value.h: Python values (None, bool, int, float, str, bytes, list, tuple, dict) to pickles and back.
 *
 * What a checkpoint holds beside tensors, and the pickles within it: TorchTitan's dataloader state is bytes that are a pickle of
 * a dict. Reading executes nothing: a pickle that names a class or a function is refused, by that name, unless it is one of
 * the few in pickle_global.c that stand for plain data (a set, torch.Size, a dtype, numpy's scalars ...). */
#ifndef TT_FORMAT_PICKLE_VALUE_H
#define TT_FORMAT_PICKLE_VALUE_H

#include "base/buf.h"
#include "format/pickler.h"
#include "value/value.h"

/* What the ref of a TT_V_OBJECT points to: Python's data that has no plain form. It is written back as it was read. */
enum tt_pyobj_kind {
    TT_PYOBJ_GLOBAL,    /* the class or function itself: torch.bfloat16 */
    TT_PYOBJ_CALL,      /* cls(*args), then BUILD with state where there is one */
    TT_PYOBJ_NEW,       /* cls.__new__(cls, *args), the same */
    TT_PYOBJ_BIGINT,    /* an int beyond 64 bits, in `bytes`: two's complement, little-endian */
};

struct tt_pyobj {
    enum tt_pyobj_kind kind;
    const struct tt_py_global *cls;
    const struct tt_value *args, *state; /* args: a TUPLE; state: NULL for none */
    const uint8_t *bytes;
    size_t nbytes;
};


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
    tt_py_tensor_fn *tensor; /* NULL: tensors are refused */
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
