/* Values of two checkpoints: the same, or close. */
#include <math.h>
#include <string.h>

#include "ckpt/diff.h"
#include "format/pickle_value.h"
#include "format/pt.h"

static bool is_number(const struct tt_value *v) { return v->kind == TT_V_INT || v->kind == TT_V_FLOAT; }

static long double number_of(const struct tt_value *v) { return v->kind == TT_V_INT ? (long double)v->u.i : (long double)v->u.f; }

/* Of two doubles the difference is rounded once, as everywhere. */
double tt_diff_by(long double a, long double b)
{
    const double x = (double)a, y = (double)b;

    if (a == b)
        return 0;
    return x == a && y == b ? fabs(x - y) : (double)fabsl(a - b);
}

bool tt_diff_is_close(double a, double b, double by, const struct tt_diff_opts *opts)
{
    if (!isfinite(a) || !isfinite(b))
        return a == b || (isnan(a) && isnan(b));
    return by <= opts->atol + opts->rtol * fabs(b);
}

/* Two writers pickle one state in different ways (protocols, memo). */
static bool pickles_are_close(const struct tt_value *a, const struct tt_value *b, const struct tt_diff_opts *opts)
{
    struct tt_arena arena = { 0 };
    const struct tt_value *x = NULL, *y = NULL;
    const bool are = tt_pickle_to_value(&arena, a->u.str.s, a->u.str.nbytes, "", &x, NULL) == TT_OK &&
                     tt_pickle_to_value(&arena, b->u.str.s, b->u.str.nbytes, "", &y, NULL) == TT_OK && tt_value_close(x, y, opts);
    tt_arena_release(&arena);
    return are;
}

static bool lists_are_close(const struct tt_value *a, const struct tt_value *b, const struct tt_diff_opts *opts)
{
    if (a->u.list.n != b->u.list.n)
        return false;
    for (size_t i = 0; i < a->u.list.n; i++)
        if (!tt_value_close(a->u.list.items[i], b->u.list.items[i], opts))
            return false;
    return true;
}

/* In whatever order: a dict that went through another writer may have another. */
static bool maps_are_close(const struct tt_value *a, const struct tt_value *b, const struct tt_diff_opts *opts)
{
    if (a->u.map.n != b->u.map.n)
        return false;
    for (size_t i = 0; i < a->u.map.n; i++) {
        const struct tt_pair *p = &a->u.map.pairs[i];
        const struct tt_value *other = NULL;
        if (i < b->u.map.n && tt_pt_equal(p->key, b->u.map.pairs[i].key))
            other = b->u.map.pairs[i].value;
        for (size_t j = 0; j < b->u.map.n && !other; j++)
            if (tt_pt_equal(p->key, b->u.map.pairs[j].key))
                other = b->u.map.pairs[j].value;
        if (!other || !tt_value_close(p->value, other, opts))
            return false;
    }
    return true;
}

bool tt_value_close(const struct tt_value *a, const struct tt_value *b, const struct tt_diff_opts *opts)
{
    if (opts->close && is_number(a) && is_number(b)) {
        const long double x = number_of(a), y = number_of(b);
        return tt_diff_is_close((double)x, (double)y, tt_diff_by(x, y), opts);
    }
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case TT_V_LIST:
    case TT_V_TUPLE: return lists_are_close(a, b, opts);
    case TT_V_MAP: return maps_are_close(a, b, opts);
    case TT_V_BYTES: return tt_pt_equal(a, b) || pickles_are_close(a, b, opts);
    default: return tt_pt_equal(a, b);
    }
}
