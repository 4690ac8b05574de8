/* The optimizer's step as a program: the norm of every gradient, the norm of the norms, clipping, Adam. */
#include "program/program_private.h"

tt_status tt_program_record_step(struct tt_program **out, const struct tt_params *params, enum tt_dtype param_dtype,
                                 struct tt_err *err)
{
    const struct tt_rec_opts opts = { .params = params, .param_dtype = param_dtype };
    struct tt_rec rec;
    const tt_status status = tt_rec_begin(&rec, &opts, err);
    if (status != TT_OK)
        return status;

    rec.phase = TT_S;
    const tt_val clip = tt_rec_scalar(&rec, TT_S_CLIP, 0), grad_norm = tt_rec_scalar(&rec, TT_S_GRAD_NORM, 0);
    const tt_val sumsq0 = tt_rec_scalar(&rec, TT_S_SUMSQ, 0), max_norm = tt_rec_scalar(&rec, TT_S_MAX_NORM, 0);
    const tt_val adam = tt_rec_scalar(&rec, TT_S_ADAM, 0);

    for (int i = 0; i < params->n; i++) {
        const tt_val grad = tt_rec_role(&rec, i, TT_ROLE_GRAD, param_dtype), sumsq = tt_rec_scalar(&rec, TT_S_SUMSQ, i);
        tt_rec_op(&rec, TT_OP_SUMSQ, 1, &grad, 1, &sumsq);
    }
    tt_rec_op(&rec, TT_OP_CLIP, 2, (tt_val[]){ sumsq0, max_norm }, 2, (tt_val[]){ clip, grad_norm })->arg[0] = params->n;
    for (int i = 0; i < params->n; i++) {
        tt_val state[3];
        static const enum tt_role roles[] = { TT_ROLE_SHARD, TT_ROLE_EXP_AVG, TT_ROLE_EXP_AVG_SQ };
        for (int j = 0; j < 3; j++)
            state[j] = tt_rec_role(&rec, i, roles[j], param_dtype);
        tt_rec_op(&rec, TT_OP_ADAM, 3, (tt_val[]){ tt_rec_role(&rec, i, TT_ROLE_GRAD, param_dtype), clip, adam }, 3, state);
    }
    return tt_rec_finish(&rec, out, err);
}
