/* What of a forward is kept for its backward. */
#include <stdlib.h>
#include <string.h>

#include "program/program_private.h"

static bool is_act(const struct tt_program *prog, tt_val v)
{
    return v != TT_NO_VAL && prog->val[v].cls == TT_ACT;
}

static int layer_of(const struct tt_program *prog, const struct tt_op *op)
{
    return op->out[0] == TT_NO_VAL ? -1 : prog->val[op->out[0]].layer;
}

static void remake(struct tt_program *prog, const struct tt_op *op, int nout, bool again)
{
    for (int i = 0; i < nout; i++)
        if (is_act(prog, op->out[i]))
            prog->val[op->out[i]].recompute = again;
}

/* What another layer reads is its input, and kept. */
static void keep_inputs(struct tt_program *prog)
{
    for (int i = 0; i < prog->nops; i++) {
        const struct tt_op *op = &prog->op[i];
        for (int j = 0; j < op->nin; j++)
            if (is_act(prog, op->in[j]) && prog->val[op->in[j]].layer != layer_of(prog, op))
                prog->val[op->in[j]].recompute = false;
    }
}

/* --- a choice by operation -------------------------------------------------------------------------------------------------- */

bool tt_keep_is_part(const char *part, const char *name, size_t n)
{
    const char *found = strstr(name, part);
    return found && (size_t)(found - name) + strlen(part) <= n;
}

static bool is_named(const struct tt_keep *how, const struct tt_param *p)
{
    static const size_t nsuffix = sizeof ".weight" - 1;
    const size_t n = strlen(p->fqn);

    for (size_t i = 0; i < how->nremade; i++)
        if (n > nsuffix && tt_keep_is_part(how->remade[i], p->fqn, n - nsuffix))
            return true;
    return false;
}

/* Has a weight of this one's layer that is named the same shape? */
static bool has_named_shape(const struct tt_program *prog, const struct tt_keep *how, int layer, const struct tt_param *w)
{
    for (int i = 0; i < prog->params->n; i++) {
        const struct tt_param *p = &prog->params->p[i];
        if (p->layer == layer && p->ndim == 2 && p->size[0] == w->size[0] && p->size[1] == w->size[1] && is_named(how, p))
            return true;
    }
    return false;
}

static void keep_products(struct tt_program *prog, const struct tt_keep *how)
{
    for (int i = 0, layer = -1, nproducts = 0; i < prog->nops; i++) {
        const struct tt_op *op = &prog->op[i];
        const enum tt_opkind kind = tt_op_kind(op);
        if (op->phase != TT_F)
            continue;
        nproducts = layer_of(prog, op) == layer ? nproducts : 0;
        layer = layer_of(prog, op);
        const bool counts = kind == TT_OP_LINEAR && !has_named_shape(prog, how, layer, &prog->params->p[prog->val[op->in[1]].ref]);
        nproducts += counts;
        if (kind == TT_OP_ATTENTION || kind == TT_OP_REDUCE_SCATTER || (counts && nproducts % 2 == 1))
            remake(prog, op, op->nout, false);
    }
}

/* --- a choice by cost ------------------------------------------------------------------------------------------------------- */

struct result {
    int op;
    double cost; /* floating point operations a byte */
};

static int dearest_first(const void *va, const void *vb)
{
    const struct result *a = va, *b = vb;
    return a->cost != b->cost ? (a->cost > b->cost ? -1 : 1) : a->op - b->op;
}

static bool is_choice(const struct tt_program *prog, const struct tt_op *op)
{
    return op->phase == TT_F && layer_of(prog, op) >= 0 && !op->def->cheap;
}

tt_status tt_program_dearest(int **out, int *n, const struct tt_program *prog, struct tt_err *err)
{
    struct result *result = calloc((size_t)prog->nops + 1, sizeof *result);
    int *order = calloc((size_t)prog->nops + 1, sizeof *order), nresults = 0;

    if (!result || !order) {
        free(result);
        free(order);
        return tt_err_nomem(err, (size_t)prog->nops * sizeof *result, "a program");
    }
    for (int i = 0; i < prog->nops; i++) {
        const struct tt_op *op = &prog->op[i];
        if (!is_choice(prog, op))
            continue;
        const uint64_t flops = op->def->flops ? op->def->flops(op, prog->val) : 0;
        result[nresults++] = (struct result){ i, (double)flops / (double)tt_val_nbytes(&prog->val[op->out[0]]) };
    }
    qsort(result, (size_t)nresults, sizeof *result, dearest_first);
    for (int i = 0; i < nresults; i++)
        order[i] = result[i].op;
    free(result);
    *out = order;
    *n = nresults;
    return TT_OK;
}

static void keep_most(struct tt_program *prog, const struct tt_keep *how)
{
    for (int i = 0; i < how->nmost; i++)
        remake(prog, &prog->op[how->dearest[i]], prog->op[how->dearest[i]].nout, false);
}

/* --- the policies ----------------------------------------------------------------------------------------------------------- */

/* Is nothing of this layer kept to begin with? */
static bool drops_layer(const struct tt_keep *how, int layer)
{
    switch (how->kind) {
    case TT_KEEP_DEAR:
    case TT_KEEP_ALL: return false;
    case TT_KEEP_LAYER_INPUTS: return layer >= 0 && (how->every == 0 || (layer + 1) % how->every == 0);
    case TT_KEEP_PRODUCTS:
    case TT_KEEP_MOST: return layer >= 0;
    }
    return false;
}

void tt_program_keep(struct tt_program *prog, const struct tt_keep *how)
{
    for (tt_val v = 0; v < prog->nvals; v++)
        prog->val[v].recompute = false;
    for (int i = 0; i < prog->nops; i++) {
        const struct tt_op *op = &prog->op[i];
        if (op->phase == TT_F && drops_layer(how, layer_of(prog, op)))
            remake(prog, op, op->nout, true);
        else if (op->phase == TT_F && op->def->cheap && how->kind != TT_KEEP_ALL)
            remake(prog, op, 1, true);
    }
    if (how->kind == TT_KEEP_PRODUCTS)
        keep_products(prog, how);
    if (how->kind == TT_KEEP_MOST)
        keep_most(prog, how);
    keep_inputs(prog);
}

/* --- what came of it -------------------------------------------------------------------------------------------------------- */

tt_status tt_program_kept_nbytes(uint64_t *out, const struct tt_program *prog, struct tt_err *err)
{
    bool *counted = calloc((size_t)prog->nvals + 1, sizeof *counted);
    uint64_t nbytes = 0;

    if (!counted)
        return tt_err_nomem(err, prog->nvals, "a program");
    for (int i = 0; i < prog->nops; i++)
        for (int j = 0; prog->op[i].phase != TT_F && j < prog->op[i].nin; j++) {
            const tt_val v = prog->op[i].in[j];
            if (!is_act(prog, v) || counted[v] || prog->op[prog->val[v].op].phase != TT_F)
                continue;
            counted[v] = true;
            nbytes += tt_val_nbytes(&prog->val[v]);
        }
    free(counted);
    *out = nbytes;
    return TT_OK;
}

/* Forward operations in the backward; of the others there (a rotation back, a sum of gradients) none counts. */
uint64_t tt_program_remade_flops(const struct tt_program *prog)
{
    uint64_t flops = 0;
    for (int i = 0; i < prog->nops; i++) {
        const struct tt_op *op = &prog->op[i];
        flops += op->phase == TT_I && op->def->grad && op->def->flops ? op->def->flops(op, prog->val) : 0;
    }
    return flops;
}
