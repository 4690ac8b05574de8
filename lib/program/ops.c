/* Every operation: its gradients, its cost, what of it may share memory. */
#include "program/program_private.h"

/* --- gradients -------------------------------------------------------------------------------------------------------------- *
 * A weight gradient comes before the input gradient: what it reads from the forward can then go before the input gradient is
 * made. */

static struct tt_op *weight_gradient(struct tt_rec *rec, enum tt_opkind kind, tt_val w, tt_val dy, tt_val x, tt_val rstd)
{
    tt_val beta;
    const tt_val dw = tt_rec_param_grad(rec, w, &beta);

    rec->phase = TT_W;
    struct tt_op *op = tt_rec_op(rec, kind, 4, (tt_val[]){ dy, x, beta, rstd }, 1, &dw);
    rec->phase = TT_I;
    return op;
}

static void embedding_grad(struct tt_rec *rec, const struct tt_op *op, const tt_val *dout)
{
    weight_gradient(rec, TT_OP_EMBEDDING_W, op->in[0], dout[0], op->in[1], TT_NO_VAL)->arg[0] = op->arg[0];
}

static void linear_grad(struct tt_rec *rec, const struct tt_op *op, const tt_val *dout)
{
    const tt_val x = op->in[0], w = op->in[1];

    weight_gradient(rec, TT_OP_LINEAR_W, w, dout[0], x, TT_NO_VAL);
    if (!tt_rec_wants_grad(rec, x))
        return;
    const tt_val dx = tt_rec_like(rec, x, rec->prog->val[x].grad_dtype);
    tt_rec_op(rec, TT_OP_LINEAR_I, 3, (tt_val[]){ dout[0], w, tt_rec_grad(rec, x) }, 1, &dx);
    tt_rec_set_grad(rec, x, dx);
}

static void rmsnorm_grad(struct tt_rec *rec, const struct tt_op *op, const tt_val *dout)
{
    const tt_val x = op->in[0], w = op->in[1], rstd = op->out[1];

    weight_gradient(rec, TT_OP_RMSNORM_W, w, dout[0], x, rstd);
    if (!tt_rec_wants_grad(rec, x))
        return;
    const tt_val dx = tt_rec_like(rec, x, rec->prog->val[x].grad_dtype);
    tt_rec_op(rec, TT_OP_RMSNORM_I, 5, (tt_val[]){ dout[0], x, w, rstd, tt_rec_grad(rec, x) }, 1, &dx);
    tt_rec_set_grad(rec, x, dx);
}

/* A rotation's transpose turns the other way: arg[1]. */
static void rope_grad(struct tt_rec *rec, const struct tt_op *op, const tt_val *dout)
{
    const tt_val x = op->in[0];
    const tt_val dx = tt_rec_like(rec, x, rec->prog->val[x].grad_dtype);
    struct tt_op *back = tt_rec_op(rec, TT_OP_ROPE, 3, (tt_val[]){ dout[0], op->in[1], op->in[2] }, 1, &dx);

    back->arg[0] = op->arg[0];
    back->arg[1] = !op->arg[1];
    tt_rec_add_grad(rec, x, dx);
}

static void attention_grad(struct tt_rec *rec, const struct tt_op *op, const tt_val *dout)
{
    const tt_val q = op->in[0], k = op->in[1], v = op->in[2], documents = op->in[3];
    tt_val d[3];

    for (int i = 0; i < 3; i++)
        d[i] = tt_rec_like(rec, op->in[i], rec->prog->val[op->in[i]].grad_dtype);
    struct tt_op *back =
        tt_rec_op(rec, TT_OP_ATTENTION_I, 7, (tt_val[]){ q, k, v, documents, op->out[0], op->out[1], dout[0] }, 3, d);
    for (int i = 0; i < TT_OP_ARG; i++)
        back->arg[i] = op->arg[i];
    back->real = op->real;
    for (int i = 0; i < 3; i++)
        tt_rec_add_grad(rec, op->in[i], d[i]);
}

static void swiglu_grad(struct tt_rec *rec, const struct tt_op *op, const tt_val *dout)
{
    tt_val d[2];

    for (int i = 0; i < 2; i++)
        d[i] = tt_rec_like(rec, op->in[i], rec->prog->val[op->in[i]].grad_dtype);
    tt_rec_op(rec, TT_OP_SWIGLU_I, 3, (tt_val[]){ dout[0], op->in[0], op->in[1] }, 2, d);
    for (int i = 0; i < 2; i++)
        tt_rec_add_grad(rec, op->in[i], d[i]);
}

static void add_grad(struct tt_rec *rec, const struct tt_op *op, const tt_val *dout)
{
    for (int i = 0; i < 2; i++)
        tt_rec_add_grad(rec, op->in[i], dout[0]);
}

static void cast_grad(struct tt_rec *rec, const struct tt_op *op, const tt_val *dout)
{
    tt_rec_add_grad(rec, op->in[0], dout[0]);
}

/* What gathers in the forward reduces in the backward, and the other way round. */
static void all_gather_grad(struct tt_rec *rec, const struct tt_op *op, const tt_val *dout)
{
    const tt_val x = op->in[0], dx = tt_rec_like(rec, x, rec->prog->val[x].grad_dtype);

    tt_rec_collective(rec, TT_OP_REDUCE_SCATTER, op->queue, op->arg[0], dout[0], dx);
    tt_rec_add_grad(rec, x, dx);
}

static void reduce_scatter_grad(struct tt_rec *rec, const struct tt_op *op, const tt_val *dout)
{
    const tt_val x = op->in[0], dx = tt_rec_like(rec, x, rec->prog->val[x].grad_dtype);

    tt_rec_collective(rec, TT_OP_ALL_GATHER, op->queue, op->arg[0], dout[0], dx);
    tt_rec_add_grad(rec, x, dx);
}

/* Every rank has the whole gradient of what it gathered. */
static void gather_columns_grad(struct tt_rec *rec, const struct tt_op *op, const tt_val *dout)
{
    const tt_val x = op->in[0], dx = tt_rec_like(rec, x, rec->prog->val[x].grad_dtype);

    tt_rec_op(rec, TT_OP_COLUMNS, 1, dout, 1, &dx)->arg[0] = tt_rec_tp_piece(rec, op->arg[0]).at;
    tt_rec_add_grad(rec, x, dx);
}

/* The forward writes the gradient on its way over the logits, and so needs no op of its own. */
static void loss_grad(struct tt_rec *rec, const struct tt_op *op, const tt_val *dout)
{
    const tt_val z = op->in[0];
    const int32_t at = rec->prog->val[op->out[1]].op;
    const tt_val dz = tt_rec_like(rec, z, rec->prog->val[z].grad_dtype);

    (void)dout;
    if (rec->failed)
        return;
    rec->prog->op[at].out[2] = dz;
    rec->prog->val[dz].op = at;
    tt_rec_add_grad(rec, z, dz);
}

/* --- floating point operations ---------------------------------------------------------------------------------------------- */

static uint64_t numel(const struct tt_valdesc *val, tt_val v)
{
    return (uint64_t)tt_val_numel(&val[v]);
}

/* Whichever of the three products: rows times the weight's elements, a product and a sum each. */
static uint64_t linear_flops(const struct tt_op *op, const struct tt_valdesc *val)
{
    const struct tt_valdesc *x = &val[op->in[0]];
    const uint64_t rows = (uint64_t)(op->arg[1] ? op->arg[1] : x->size[0] * x->size[1]);
    return 2 * rows * numel(val, op->in[1]);
}

static uint64_t linear_i_flops(const struct tt_op *op, const struct tt_valdesc *val)
{
    return 2 * numel(val, op->in[0]) * (uint64_t)val[op->in[1]].size[1];
}

static uint64_t linear_w_flops(const struct tt_op *op, const struct tt_valdesc *val)
{
    return 2 * numel(val, op->in[0]) * (uint64_t)val[op->in[1]].size[2];
}

/* Two products over the pairs of tokens that see each other; half of all where the mask is causal. */
static uint64_t attention_flops(const struct tt_op *op, const struct tt_valdesc *val)
{
    const uint64_t t = (uint64_t)val[op->in[0]].size[1];
    const uint64_t all = 2 * t * (numel(val, op->in[0]) + numel(val, op->out[0]));
    return op->arg[2] ? all / 2 : all;
}

/* Five products: the scores again, and the gradients of v, p, q and k. */
static uint64_t attention_i_flops(const struct tt_op *op, const struct tt_valdesc *val)
{
    const uint64_t t = (uint64_t)val[op->in[0]].size[1];
    const uint64_t all = 2 * t * (3 * numel(val, op->in[0]) + 2 * numel(val, op->in[4]));
    return op->arg[2] ? all / 2 : all;
}

/* --- the table -------------------------------------------------------------------------------------------------------------- */

enum { IN0 = 1 << 0, IN1 = 1 << 1, IN2 = 1 << 2, IN4 = 1 << 4, OUT1 = 1 << 1, OUT2 = 1 << 2 };

const struct tt_opdef tt_opdefs[TT_NOPS] = {
    [TT_OP_EMBEDDING] = { .name = "embedding", .grad = embedding_grad, .any_dtype = true },
    [TT_OP_EMBEDDING_W] = { .name = "embedding_w" },
    [TT_OP_LINEAR] = { .name = "linear", .grad = linear_grad, .flops = linear_flops },
    [TT_OP_LINEAR_I] = { .name = "linear_i", .flops = linear_i_flops, .over = { IN2 } },
    [TT_OP_LINEAR_W] = { .name = "linear_w", .flops = linear_w_flops },
    [TT_OP_RMSNORM] = { .name = "rmsnorm", .grad = rmsnorm_grad, .over = { IN0 }, .skips = OUT1, .any_dtype = true, .cheap = true },
    [TT_OP_RMSNORM_I] = { .name = "rmsnorm_i", .over = { IN4 } },
    [TT_OP_RMSNORM_W] = { .name = "rmsnorm_w" },
    [TT_OP_ROPE] = { .name = "rope", .grad = rope_grad, .over = { IN0 } },
    [TT_OP_ATTENTION] = { .name = "attention", .grad = attention_grad, .flops = attention_flops },
    [TT_OP_ATTENTION_I] = { .name = "attention_i", .flops = attention_i_flops },
    [TT_OP_CACHE] = { .name = "cache" },
    [TT_OP_SWIGLU] = { .name = "swiglu", .grad = swiglu_grad, .over = { IN0 | IN1 }, .cheap = true },
    [TT_OP_SWIGLU_I] = { .name = "swiglu_i", .over = { IN1, IN2 } },
    [TT_OP_ADD] = { .name = "add", .grad = add_grad, .over = { IN0 | IN1 } },
    [TT_OP_ACCUMULATE] = { .name = "accumulate" },
    [TT_OP_CAST] = { .name = "cast", .grad = cast_grad },
    [TT_OP_LOSS] = { .name = "loss", .grad = loss_grad, .over = { 0, 0, IN0 }, .skips = OUT2 },
    [TT_OP_LOSS_PART] = { .name = "loss_part" },
    [TT_OP_ALL_GATHER] = { .name = "all_gather", .grad = all_gather_grad },
    [TT_OP_REDUCE_SCATTER] = { .name = "reduce_scatter", .grad = reduce_scatter_grad },
    [TT_OP_ALL_REDUCE] = { .name = "all_reduce" },
    [TT_OP_GATHER_COLUMNS] = { .name = "gather_columns", .grad = gather_columns_grad },
    [TT_OP_COLUMNS] = { .name = "columns" },
    [TT_OP_SUMSQ] = { .name = "sumsq" },
    [TT_OP_CLIP] = { .name = "clip" },
    [TT_OP_ADAM] = { .name = "adam" },
};

const char *tt_phase_name(enum tt_phase phase)
{
    switch (phase) {
    case TT_F: return "forward";
    case TT_I: return "input gradient";
    case TT_W: return "weight gradient";
    case TT_U: return "gather";
    case TT_R: return "reduce";
    case TT_S: return "optimizer";
    }
    return "";
}

const char *tt_queue_name(enum tt_queue queue)
{
    static const char *const names[TT_NQ] = {
        [TT_Q_COMPUTE] = "operations", [TT_Q_GATHER] = "gather", [TT_Q_REDUCE] = "reduce",   [TT_Q_REPLICATE] = "replicate",
        [TT_Q_TP] = "tp",              [TT_Q_CP] = "cp",         [TT_Q_EP] = "ep",           [TT_Q_PP_NEXT] = "pp_next",
        [TT_Q_PP_PREV] = "pp_prev",    [TT_Q_COPY] = "copy",
    };
    return names[queue];
}

static int first_param(const tt_val *operand, int n, const struct tt_valdesc *val)
{
    for (int i = 0; i < n; i++)
        if (operand[i] != TT_NO_VAL && val[operand[i]].cls == TT_PARAM)
            return val[operand[i]].ref;
    return -1;
}

int tt_op_param(const struct tt_op *op, const struct tt_valdesc *val)
{
    const int written = first_param(op->out, op->nout, val);
    return written >= 0 ? written : first_param(op->in, op->nin, val);
}
