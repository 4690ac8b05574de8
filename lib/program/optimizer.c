/* The optimizer's step: as a program of its own, with the norm of every gradient, the norm of the norms, clipping, Adam; or as
 * operations of the backward, with Adam alone. */
#include <stdlib.h>
#include <string.h>

#include "program/program_private.h"

static void record_adam(struct tt_rec *rec, int param, tt_val grad, tt_val clip)
{
    static const enum tt_role roles[] = { TT_ROLE_SHARD, TT_ROLE_EXP_AVG, TT_ROLE_EXP_AVG_SQ };
    tt_val state[3];

    for (int i = 0; i < 3; i++)
        state[i] = tt_rec_role(rec, param, roles[i], rec->prog->param_dtype);
    tt_rec_op(rec, TT_OP_ADAM, 3, (tt_val[]){ grad, clip, tt_rec_scalar(rec, TT_S_ADAM, 0) }, 3, state);
}

/* What each rank of a tensor parallel group has of the norm: its pieces, and the first one what all have whole. */
static void record_sumsq(struct tt_rec *rec, int param, enum tt_dtype dtype)
{
    const struct tt_group *tp = &rec->prog->group[TT_Q_TP];
    const tt_val grad = tt_rec_role(rec, param, TT_ROLE_GRAD, dtype), sumsq = tt_rec_scalar(rec, TT_S_SUMSQ, param);

    tt_rec_op(rec, TT_OP_SUMSQ, 1, &grad, 1, &sumsq)->arg[0] =
        tp->rank > 0 && rec->prog->params->p[param].row->tp == TT_TP_REPLICATE;
}

/* The array of all parameters' sums, over the ranks. */
static void add_up_ranks(struct tt_rec *rec)
{
    const struct tt_valdesc all = {
        .cls = TT_SCALAR,
        .dtype = TT_F64,
        .ndim = 1,
        .size = { rec->prog->params->n },
        .ref = TT_S_SUMSQ,
        .layer = -1,
        .op = -1,
    };

    for (int q = 0; q < TT_NQ; q++)
        if ((q == TT_Q_TP || q == TT_Q_REDUCE) && rec->prog->group[q].size > 1) {
            const tt_val sums = tt_rec_new(rec, &all);
            tt_rec_collective(rec, TT_OP_ALL_REDUCE, (enum tt_queue)q, 0, sums, sums);
        }
}

tt_status tt_program_record_step(struct tt_program **out, const struct tt_params *params, enum tt_dtype param_dtype,
                                 const struct tt_group *group, struct tt_err *err)
{
    struct tt_rec_opts opts = { .params = params, .param_dtype = param_dtype };
    struct tt_rec rec;
    if (group)
        memcpy(opts.group, group, sizeof opts.group);
    const tt_status status = tt_rec_begin(&rec, &opts, err);
    if (status != TT_OK)
        return status;

    rec.phase = TT_S;
    rec.prog->is_sharded = true;
    const tt_val clip = tt_rec_scalar(&rec, TT_S_CLIP, 0), grad_norm = tt_rec_scalar(&rec, TT_S_GRAD_NORM, 0);
    const tt_val sumsq0 = tt_rec_scalar(&rec, TT_S_SUMSQ, 0), max_norm = tt_rec_scalar(&rec, TT_S_MAX_NORM, 0);

    for (int i = 0; i < params->n; i++)
        record_sumsq(&rec, i, param_dtype);
    add_up_ranks(&rec);
    tt_rec_op(&rec, TT_OP_CLIP, 2, (tt_val[]){ sumsq0, max_norm }, 2, (tt_val[]){ clip, grad_norm })->arg[0] = params->n;
    for (int i = 0; i < params->n; i++)
        record_adam(&rec, i, tt_rec_role(&rec, i, TT_ROLE_GRAD, param_dtype), clip);
    return tt_rec_finish(&rec, out, err);
}

/* --- in the backward ---------------------------------------------------------------------------------------------------------- */

/* A parameter's gradient lives from its operations to its step only, and starts from nothing in every microbatch. */
static void gradients_to_activations(struct tt_program *prog)
{
    for (tt_val v = 0; v < prog->nvals; v++)
        if (prog->val[v].cls == TT_PARAM && prog->val[v].role == TT_ROLE_GRAD)
            prog->val[v].cls = TT_ACT;
    for (int i = 0; i < prog->nops; i++)
        for (int j = 0; j < prog->op[i].nin; j++) {
            const tt_val v = prog->op[i].in[j];
            if (v != TT_NO_VAL && prog->val[v].cls == TT_SCALAR && prog->val[v].ref == TT_S_ACCUMULATE)
                prog->op[i].in[j] = TT_NO_VAL;
        }
}

static bool touches(const struct tt_program *prog, const struct tt_op *op, int param, tt_val grad)
{
    for (int i = 0; i < op->nout; i++)
        if (op->out[i] == grad)
            return true;
    for (int i = 0; i < op->nin; i++)
        if (op->in[i] != TT_NO_VAL && prog->val[op->in[i]].cls == TT_PARAM && prog->val[op->in[i]].ref == param)
            return true;
    return false;
}

/* Moves each operation from `first` on, which steps a parameter, behind the last one before `first` that reads the parameter or
 * adds to its gradient. */
static tt_status place_steps(struct tt_program *prog, int first, struct tt_err *err)
{
    const int nsteps = prog->nops - first;
    struct tt_op *op = malloc((size_t)prog->nops * sizeof *op);
    int *behind = malloc((size_t)nsteps * sizeof *behind), n = 0;

    if (!op || !behind) {
        free(op);
        free(behind);
        return tt_err_nomem(err, (size_t)prog->nops * sizeof *op, "a program");
    }
    for (int s = 0; s < nsteps; s++) {
        const struct tt_op *step = &prog->op[first + s];
        behind[s] = first - 1;
        while (behind[s] > 0 && !touches(prog, &prog->op[behind[s]], prog->val[step->out[0]].ref, step->in[0]))
            behind[s]--;
        while (prog->op[behind[s]].more) /* which ends with the last of them */
            behind[s]++;
    }
    for (int i = 0; i < first; i++) {
        op[n++] = prog->op[i];
        for (int s = 0; s < nsteps; s++)
            if (behind[s] == i)
                op[n++] = prog->op[first + s];
    }
    free(behind);
    free(prog->op);
    prog->op = op;
    prog->cap_ops = n;
    return TT_OK;
}

/* Copies of what the microbatch before has stepped become the first of the forward, for a unit is gathered before the one ahead of it
 * begins; sums of what it leaves become part of the backward. */
static tt_status join_phases(struct tt_program *prog, struct tt_err *err)
{
    struct tt_op *op = malloc((size_t)prog->nops * sizeof *op);
    int n = 0;

    if (!op)
        return tt_err_nomem(err, (size_t)prog->nops * sizeof *op, "a program");
    for (int copies = 1; copies >= 0; copies--)
        for (int i = 0; i < prog->nops; i++)
            if ((prog->op[i].phase == TT_U) == copies)
                op[n++] = prog->op[i];
    for (int i = 0; i < n; i++)
        if (op[i].phase == TT_U)
            op[i].phase = TT_F;
        else if (op[i].phase == TT_R)
            op[i].phase = TT_W;
    memcpy(prog->op, op, (size_t)n * sizeof *op);
    free(op);
    return TT_OK;
}

tt_status tt_program_step_in_backward(struct tt_program *prog, struct tt_err *err)
{
    struct tt_rec rec = { .prog = prog, .phase = TT_W, .layer = -1 };
    const int first = prog->nops;
    const tt_val nvals = prog->nvals;

    tt_status status = join_phases(prog, err);
    if (status != TT_OK)
        return status;
    for (tt_val v = 0; v < nvals; v++)
        if (prog->val[v].cls == TT_PARAM && prog->val[v].role == TT_ROLE_GRAD)
            record_adam(&rec, prog->val[v].ref, v, TT_NO_VAL);
    if (rec.failed)
        return tt_err_nomem(err, 0, "a program");
    gradients_to_activations(prog);
    status = place_steps(prog, first, err);
    return status == TT_OK ? tt_program_drop_dead(prog, err) : status; /* which drops nothing and numbers the operations */
}
