/* Collectives beside products. What computes a weight gradient is wanted at the end only, so it is put off until the backward would
 * wait; some values live longer for it. A product of gathered rows begins with the rank's own rows, which need no gathering. */
#include <stdlib.h>
#include <string.h>

#include "program/program_private.h"

struct overlap {
    const struct tt_program *prog;
    struct tt_op *op; /* in their new order; (n) so far; room for three times as many as before */
    int n;
    int *off, first, end; /* [first, end) of off: the operations put off, oldest first */
    tt_val *coming;       /* what collectives are making */
    int ncoming;
};

static void put_offs(struct overlap *o, int n)
{
    for (; n > 0; n--)
        o->op[o->n++] = o->prog->op[o->off[o->first++]];
}

/* Does op read what is not there yet? All that came before is waited for with it. */
static bool waits(struct overlap *o, const struct tt_op *op)
{
    for (int i = 0; i < op->nin; i++)
        for (int c = o->ncoming - 1; c >= 0; c--)
            if (op->in[i] == o->coming[c]) {
                memmove(o->coming, o->coming + c + 1, (size_t)(o->ncoming - c - 1) * sizeof *o->coming);
                o->ncoming -= c + 1;
                return true;
            }
    return false;
}

/* A product's rows [first, first + n), from x. */
static void put_rows(struct overlap *o, const struct tt_op *product, tt_val x, int64_t first, int64_t n)
{
    struct tt_op op = *product;

    if (n == 0)
        return;
    op.in[0] = x;
    op.arg[0] = first;
    op.arg[1] = n;
    o->op[o->n++] = op;
}

/* The gather whose result a product reads, or NULL. */
static const struct tt_op *gather_of(const struct tt_program *prog, const struct tt_op *op)
{
    if (tt_op_kind(op) != TT_OP_LINEAR || prog->val[op->in[0]].op < 0)
        return NULL;
    const struct tt_op *maker = &prog->op[prog->val[op->in[0]].op];
    return tt_op_kind(maker) == TT_OP_ALL_GATHER ? maker : NULL;
}

static struct tt_run own_rows(const struct tt_program *prog, const struct tt_op *gather)
{
    const struct tt_group *group = &prog->group[gather->queue];
    return tt_chunk(gather->arg[0], group->size, group->rank);
}

/* Behind a gather: what products can do with the rank's own rows. */
static void place_own(struct overlap *o, int gather)
{
    const struct tt_program *prog = o->prog;
    const struct tt_run own = own_rows(prog, &prog->op[gather]);

    for (int i = gather + 1; i < prog->nops; i++)
        if (gather_of(prog, &prog->op[i]) == &prog->op[gather])
            put_rows(o, &prog->op[i], prog->op[gather].in[0], own.at, own.len);
}

/* And when the others' rows are there. */
static void place_others(struct overlap *o, const struct tt_op *product, const struct tt_op *gather)
{
    const struct tt_run own = own_rows(o->prog, gather);

    put_rows(o, product, product->in[0], 0, own.at);
    put_rows(o, product, product->in[0], own.at + own.len, gather->arg[0] - own.at - own.len);
}

/* Half of what was put off fills a wait, and the other half is for the next one. */
static void place(struct overlap *o, int i)
{
    const struct tt_op *op = &o->prog->op[i], *gather = gather_of(o->prog, op);

    if (op->phase == TT_W && tt_op_kind(op) == TT_OP_LINEAR_W) {
        o->off[o->end++] = i;
        return;
    }
    if (op->phase == TT_R) /* gradients are complete there */
        put_offs(o, o->end - o->first);
    if (waits(o, op))
        put_offs(o, (o->end - o->first + 1) / 2);
    if (gather)
        place_others(o, op, gather);
    else
        o->op[o->n++] = *op;
    if (op->queue != TT_Q_COMPUTE)
        o->coming[o->ncoming++] = op->out[0];
    if (tt_op_kind(op) == TT_OP_ALL_GATHER)
        place_own(o, i);
}

tt_status tt_program_overlap(struct tt_program *prog, struct tt_err *err)
{
    struct overlap o = { .prog = prog };
    const size_t n = (size_t)prog->nops + 1;
    tt_status status = TT_OK;

    if (prog->group[TT_Q_TP].size <= 1)
        return TT_OK;
    o.op = malloc(3 * n * sizeof *o.op);
    o.off = malloc(n * sizeof *o.off);
    o.coming = malloc(n * sizeof *o.coming);
    if (!o.op || !o.off || !o.coming) {
        free(o.op);
        status = tt_err_nomem(err, n * sizeof *o.op, "a program");
        goto out;
    }
    for (int i = 0; i < prog->nops; i++)
        place(&o, i);
    put_offs(&o, o.end - o.first);
    free(prog->op);
    prog->op = o.op;
    prog->nops = o.n;
    prog->cap_ops = 3 * (int)n;
    status = tt_program_drop_dead(prog, err); /* which drops nothing and numbers the operations */
out:
    free(o.off);
    free(o.coming);
    return status;
}
