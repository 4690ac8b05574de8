#include "program/waits.h"

#include <stdlib.h>

/* Do a and b, values of two moments, lie in one place? */
static bool is_same(const struct tt_moment *a, tt_val va, const struct tt_moment *b, tt_val vb)
{
    if (va == TT_NO_VAL || vb == TT_NO_VAL)
        return false;
    const struct tt_valdesc *da = &a->prog->val[va], *db = &b->prog->val[vb];
    if (da->cls != db->cls)
        return false;

    switch (da->cls) {
    case TT_INPUT:
    case TT_CONST: return false; /* nobody writes them */
    case TT_ACT: return a->prog == b->prog && a->mb == b->mb && va == vb;
    case TT_PARAM: return da->ref == db->ref && da->role == db->role;
    case TT_SCALAR: return da->ref == db->ref;
    case TT_OUTPUT: return da->ref == db->ref && a->mb == b->mb;
    case TT_CACHE: return da->ref == db->ref && da->index == db->index;
    }
    return true;
}

static bool among(const struct tt_moment *m, const tt_val *v, int n, const struct tt_moment *other, tt_val w)
{
    for (int i = 0; i < n; i++)
        if (is_same(m, v[i], other, w))
            return true;
    return false;
}

/* Must m come after the collective? */
static bool is_after(const struct tt_moment *collective, const struct tt_moment *m)
{
    const struct tt_op *c = &collective->prog->op[collective->op], *op = &m->prog->op[m->op];

    for (int i = 0; i < c->nout; i++)
        if (among(m, op->in, op->nin, collective, c->out[i]) || among(m, op->out, op->nout, collective, c->out[i]))
            return true;
    for (int i = 0; i < c->nin; i++)
        if (among(m, op->out, op->nout, collective, c->in[i]))
            return true;
    return false;
}

/* last[mb]: the microbatch's last moment. */
static void find_last(int *last, const struct tt_moment *moment, int n)
{
    for (int t = 0; t < n; t++)
        if (moment[t].mb >= 0)
            last[moment[t].mb] = t;
}

/* Where nothing needs it sooner. */
static int latest(const int *last, const struct tt_moment *moment, int n, int t)
{
    if (moment[t].mb < 0)
        return n;
    return last[moment[t].mb] > t ? last[moment[t].mb] : t + 1;
}

tt_status tt_waits_find(int *before, const struct tt_moment *moment, int n, int nmb, struct tt_err *err)
{
    int *pending = malloc(((size_t)n + 1) * sizeof *pending), *last = malloc((size_t)nmb * sizeof *last), npending = 0;
    if (!pending || !last) {
        free(pending);
        free(last);
        return tt_err_nomem(err, (size_t)n * sizeof *pending, "the plan of a step");
    }

    find_last(last, moment, n);
    for (int t = 0; t < n; t++) {
        int kept = 0;
        for (int i = 0; i < npending; i++)
            if (is_after(&moment[pending[i]], &moment[t]))
                before[pending[i]] = t;
            else if (before[pending[i]] > t)
                pending[kept++] = pending[i];
        npending = kept;
        before[t] = 0;
        if (moment[t].prog->op[moment[t].op].queue == TT_Q_COMPUTE)
            continue;
        before[t] = latest(last, moment, n, t);
        pending[npending++] = t;
    }
    free(pending);
    free(last);
    return TT_OK;
}
