/* Reverse mode over a recorded program: from the loss back, each operation's row emits its gradients. */
#include <stdlib.h>

#include "program/program_private.h"

bool tt_rec_wants_grad(const struct tt_rec *rec, tt_val v)
{
    const struct tt_valdesc *desc = &rec->prog->val[v];
    return (desc->cls == TT_ACT || desc->cls == TT_PARAM) && tt_dtypes[desc->dtype].is_float;
}

tt_val tt_rec_grad(const struct tt_rec *rec, tt_val v)
{
    return v < rec->ngrad ? rec->grad[v] : TT_NO_VAL;
}

void tt_rec_set_grad(struct tt_rec *rec, tt_val v, tt_val grad)
{
    if (v < rec->ngrad)
        rec->grad[v] = grad;
}

void tt_rec_add_grad(struct tt_rec *rec, tt_val v, tt_val term)
{
    if (!tt_rec_wants_grad(rec, v))
        return;
    const tt_val sum = tt_rec_grad(rec, v);

    term = tt_rec_cast(rec, term, rec->prog->val[v].grad_dtype);
    tt_rec_set_grad(rec, v, sum == TT_NO_VAL ? term : tt_rec_add(rec, sum, term));
}

tt_val tt_rec_param_grad(struct tt_rec *rec, tt_val w, tt_val *beta)
{
    struct tt_program *prog = rec->prog;
    const tt_val dw = tt_rec_role(rec, prog->val[w].ref, TT_ROLE_GRAD, prog->val[w].grad_dtype);
    bool first = true;

    for (int i = 0; i < prog->nops; i++)
        first &= prog->op[i].out[0] != dw;
    *beta = tt_rec_scalar(rec, first ? TT_S_ACCUMULATE : TT_S_ONE, 0);
    return dw;
}

/* The copy is an input gradient's: where I and W run apart, I runs first. */
tt_val tt_rec_remade(struct tt_rec *rec, tt_val v)
{
    if (v >= rec->ngrad || !rec->prog->val[v].recompute)
        return v;
    if (rec->remade[v] != TT_NO_VAL)
        return rec->remade[v];

    const struct tt_op op = rec->prog->op[rec->prog->val[v].op];
    const enum tt_phase phase = rec->phase;
    tt_val out[TT_OP_OUT];

    for (int i = 0; i < op.nout; i++) {
        out[i] = TT_NO_VAL;
        if (op.out[i] == TT_NO_VAL)
            continue;
        struct tt_valdesc desc = rec->prog->val[op.out[i]];
        desc.recompute = false;
        out[i] = tt_rec_new(rec, &desc);
        if (rec->prog->val[op.out[i]].recompute)
            rec->remade[op.out[i]] = out[i];
    }
    rec->phase = TT_I;
    struct tt_op *again = tt_rec_op(rec, tt_op_kind(&op), op.nin, op.in, op.nout, out);
    again->queue = op.queue;
    again->what = op.what;
    for (int i = 0; i < TT_OP_ARG; i++)
        again->arg[i] = op.arg[i];
    again->real = op.real;
    rec->phase = phase;
    return rec->remade[v];
}

static void walk_back(struct tt_rec *rec)
{
    for (int i = rec->prog->nops - 1; i >= 0 && !rec->failed; i--) {
        const struct tt_op op = rec->prog->op[i];
        tt_val dout[TT_OP_OUT];
        bool reached = false;
        if (op.phase != TT_F || !op.def->grad)
            continue;
        for (int j = 0; j < op.nout; j++) {
            dout[j] = op.out[j] == TT_NO_VAL ? TT_NO_VAL : tt_rec_grad(rec, op.out[j]);
            reached |= dout[j] != TT_NO_VAL || op.out[j] == rec->prog->loss;
        }
        if (!reached)
            continue;
        rec->layer = op.out[0] == TT_NO_VAL ? -1 : rec->prog->val[op.out[0]].layer;
        op.def->grad(rec, &op, dout);
    }
}

tt_status tt_program_differentiate(struct tt_program *prog, struct tt_err *err)
{
    struct tt_rec rec = { .prog = prog, .prec = TT_PREC_F32, .phase = TT_I, .layer = -1, .ngrad = prog->nvals };
    tt_status status = TT_OK;

    rec.grad = malloc((size_t)prog->nvals * sizeof *rec.grad);
    rec.remade = malloc((size_t)prog->nvals * sizeof *rec.remade);
    if (!rec.grad || !rec.remade) {
        status = tt_err_nomem(err, prog->nvals * sizeof *rec.grad, "the gradients of a program");
        goto out;
    }
    for (tt_val v = 0; v < prog->nvals; v++)
        rec.grad[v] = rec.remade[v] = TT_NO_VAL;
    walk_back(&rec);
    tt_rec_tp_reduce_grads(&rec);
    status = rec.failed ? tt_err_nomem(err, 0, "the gradients of a program") : tt_program_drop_dead(prog, err);
out:
    free(rec.grad);
    free(rec.remade);
    return status;
}
