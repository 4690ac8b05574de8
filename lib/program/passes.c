/* Passes over a recorded program: folding casts, dropping what nobody reads. */
#include <stdlib.h>
#include <string.h>

#include "program/program_private.h"

static void replace_uses(struct tt_program *prog, tt_val from, tt_val to)
{
    for (int i = 0; i < prog->nops; i++)
        for (int j = 0; j < prog->op[i].nin; j++)
            if (prog->op[i].in[j] == from)
                prog->op[i].in[j] = to;
}

tt_status tt_program_fold_casts(struct tt_program *prog, struct tt_err *err)
{
    uint32_t *nreaders = calloc((size_t)prog->nvals + 1, sizeof *nreaders);
    if (!nreaders)
        return tt_err_nomem(err, prog->nvals * sizeof *nreaders, "a program");
    for (int i = 0; i < prog->nops; i++)
        for (int j = 0; j < prog->op[i].nin; j++)
            if (prog->op[i].in[j] != TT_NO_VAL)
                nreaders[prog->op[i].in[j]]++;

    for (int i = 0; i < prog->nops; i++) {
        struct tt_op *op = &prog->op[i];
        const tt_val x = op->in[0], y = op->out[0];
        if (tt_op_kind(op) != TT_OP_CAST || op->phase != TT_F || nreaders[x] != 1)
            continue;
        const int32_t maker = prog->val[x].op;
        if (maker < 0 || !prog->op[maker].def->any_dtype || prog->op[maker].out[0] != x)
            continue;
        prog->val[x].dtype = prog->val[y].dtype;
        replace_uses(prog, y, x); /* the cast has no reader left and goes with the dead */
    }
    free(nreaders);
    return TT_OK;
}

static bool is_root(const struct tt_program *prog, const struct tt_op *op)
{
    for (int i = 0; i < op->nout; i++)
        if (op->out[i] != TT_NO_VAL && prog->val[op->out[i]].cls != TT_ACT)
            return true;
    return false;
}

/* Marks from the last op to the first which values are read by an op that is needed; drops the other ops in place. */
tt_status tt_program_drop_dead(struct tt_program *prog, struct tt_err *err)
{
    bool *read = calloc((size_t)prog->nvals + 1, sizeof *read);
    if (!read)
        return tt_err_nomem(err, prog->nvals, "a program");

    int kept = prog->nops; /* the needed ones gather at the end */
    for (int i = prog->nops - 1; i >= 0; i--) {
        struct tt_op op = prog->op[i];
        bool needed = is_root(prog, &op);
        for (int j = 0; j < op.nout; j++)
            needed |= op.out[j] != TT_NO_VAL && read[op.out[j]];
        if (!needed)
            continue;
        for (int j = 0; j < op.nin; j++)
            if (op.in[j] != TT_NO_VAL)
                read[op.in[j]] = true;
        prog->op[--kept] = op;
    }
    for (tt_val v = 0; v < prog->nvals; v++)
        prog->val[v].op = -1;
    prog->nops -= kept;
    memmove(prog->op, prog->op + kept, (size_t)prog->nops * sizeof *prog->op);
    for (int i = 0; i < prog->nops; i++)
        for (int j = 0; j < prog->op[i].nout; j++)
            if (prog->op[i].out[j] != TT_NO_VAL && prog->val[prog->op[i].out[j]].cls == TT_ACT)
                prog->val[prog->op[i].out[j]].op = i;
    free(read);
    return TT_OK;
}
