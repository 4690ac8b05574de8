#include <string.h>

#include "format/pt.h"

static bool equal_tensor(const struct tt_pt_tensor *a, const struct tt_pt_tensor *b)
{
    const size_t nbytes = (size_t)a->ndim * sizeof *a->shape;
    const struct tt_pt_storage *s = a->storage, *t = b->storage;

    if (a->dtype != b->dtype || a->ndim != b->ndim || a->first != b->first)
        return false;
    if (nbytes && (memcmp(a->shape, b->shape, nbytes) != 0 || memcmp(a->strides, b->strides, nbytes) != 0))
        return false;
    return s->nbytes == t->nbytes && (s->crc == t->crc || s->crc == 0 || t->crc == 0);
}

static bool equal_or_both_none(const struct tt_value *a, const struct tt_value *b)
{
    return a && b ? tt_pt_equal(a, b) : a == b;
}

static bool equal_name(const struct tt_py_global *a, const struct tt_py_global *b)
{
    return a == b || (a && b && strcmp(a->module, b->module) == 0 && strcmp(a->name, b->name) == 0);
}

static bool equal_object(const struct tt_pyobj *a, const struct tt_pyobj *b)
{
    return a->kind == b->kind && equal_name(a->cls, b->cls) && a->nbytes == b->nbytes &&
           (a->nbytes == 0 || memcmp(a->bytes, b->bytes, a->nbytes) == 0) && equal_or_both_none(a->callee, b->callee) &&
           equal_or_both_none(a->args, b->args) && equal_or_both_none(a->items, b->items) &&
           equal_or_both_none(a->state, b->state);
}

bool tt_pt_equal(const struct tt_value *a, const struct tt_value *b)
{
    bool same = a->kind == b->kind;

    if (!same)
        return false;
    switch (a->kind) {
    case TT_V_LIST:
    case TT_V_TUPLE:
        same = a->u.list.n == b->u.list.n;
        for (size_t i = 0; i < a->u.list.n && same; i++)
            same = tt_pt_equal(a->u.list.items[i], b->u.list.items[i]);
        return same;
    case TT_V_MAP:
        same = a->u.map.n == b->u.map.n;
        for (size_t i = 0; i < a->u.map.n && same; i++)
            same = tt_pt_equal(a->u.map.pairs[i].key, b->u.map.pairs[i].key) &&
                   tt_pt_equal(a->u.map.pairs[i].value, b->u.map.pairs[i].value);
        return same;
    case TT_V_TENSOR: return equal_tensor(a->u.ref, b->u.ref);
    case TT_V_OBJECT: return equal_object(a->u.ref, b->u.ref);
    default: return tt_value_equal(a, b);
    }
}
