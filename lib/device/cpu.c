/* The CPU: one operation at a time on all cores of the pool, in the order of the launches. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, madvise */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "device/device.h"
#include "tensor/region.h"

struct cpu {
    struct tt_device device;
    struct tt_pool *pool;
    const struct tt_kernels *k;
};

/* --- operands --------------------------------------------------------------------------------------------------------------- */

static const struct tt_valdesc *in_desc(const struct tt_call *c, int i)
{
    return &c->val[c->op->in[i]];
}

static struct tt_in in(const struct tt_call *c, int i)
{
    return c->op->in[i] == TT_NO_VAL ? (struct tt_in){ 0 } : (struct tt_in){ c->in[i], in_desc(c, i)->dtype };
}

static struct tt_out out(const struct tt_call *c, int i)
{
    return c->op->out[i] == TT_NO_VAL ? (struct tt_out){ 0 } : (struct tt_out){ c->out[i], c->val[c->op->out[i]].dtype };
}

/* Activations are (batch, seq_len, width): rows times width. */
static int64_t width(const struct tt_call *c, int i)
{
    const struct tt_valdesc *d = in_desc(c, i);
    return d->size[d->ndim - 1];
}

static int64_t rows(const struct tt_call *c, int i)
{
    const struct tt_valdesc *d = in_desc(c, i);
    int64_t n = 1;
    for (int dim = 0; dim < d->ndim - 1; dim++)
        n *= d->size[dim];
    return n;
}

static uint64_t align_up(uint64_t n) { return (n + 63) / 64 * 64; }

static int nthreads(const struct cpu *cpu)
{
    return cpu->pool ? tt_pool_nthreads(cpu->pool) : 1;
}

/* --- one function an operation ---------------------------------------------------------------------------------------------- */

static tt_status embedding(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    (void)err;
    cpu->k->embedding_fwd(cpu->pool, &(struct tt_embedding_fwd){ .n = tt_val_numel(in_desc(c, 1)),
                                                                 .d = width(c, 0),
                                                                 .vocab = rows(c, 0),
                                                                 .w = in(c, 0),
                                                                 .id = in(c, 1),
                                                                 .y = out(c, 0),
                                                                 .first = c->op->arg[0] });
    return TT_OK;
}

static tt_status embedding_w(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    (void)err;
    cpu->k->embedding_bwd_weight(cpu->pool, &(struct tt_embedding_bwd_weight){ .n = rows(c, 0),
                                                                               .d = width(c, 0),
                                                                               .vocab = c->val[c->op->out[0]].size[0],
                                                                               .dy = in(c, 0),
                                                                               .id = in(c, 1),
                                                                               .dw = out(c, 0),
                                                                               .beta = c->in[2],
                                                                               .scratch = c->scratch,
                                                                               .first = c->op->arg[0] });
    return TT_OK;
}

/* The three products of a linear layer, as kernels/matmul.h lists them; in operands as ops.c has them. */
static struct tt_matmul linear_matmul(const struct tt_call *c)
{
    const int64_t n = c->op->arg[1] ? c->op->arg[1] : rows(c, 0), k = width(c, 0), m = in_desc(c, 1)->size[0];
    struct tt_matmul mm = { .m = n,
                            .n = m,
                            .k = k,
                            .tb = true,
                            .a = in(c, 0),
                            .b = in(c, 1),
                            .c = out(c, 0),
                            .lda = k,
                            .ldb = k,
                            .ldc = m,
                            .scratch = c->scratch };

    if (c->op->arg[0] > 0 && mm.c.p) {
        mm.c.p = (char *)mm.c.p + c->op->arg[0] * m * (int64_t)tt_dtype_nbytes(mm.c.dtype);
        if (rows(c, 0) > n) /* x has all rows */
            mm.a.p = (const char *)mm.a.p + c->op->arg[0] * k * (int64_t)tt_dtype_nbytes(mm.a.dtype);
    }
    return mm;
}

static struct tt_matmul linear_i_matmul(const struct tt_call *c)
{
    const int64_t n = rows(c, 0), m = width(c, 0), k = in_desc(c, 1)->size[1];
    return (struct tt_matmul){ .m = n, .n = k, .k = m, .a = in(c, 0), .b = in(c, 1), .c = out(c, 0),
                               .lda = m, .ldb = k, .ldc = k, .scratch = c->scratch };
}

static struct tt_matmul linear_w_matmul(const struct tt_call *c)
{
    const int64_t n = rows(c, 0), m = width(c, 0), k = width(c, 1);
    return (struct tt_matmul){ .m = m, .n = k, .k = n, .ta = true, .a = in(c, 0), .b = in(c, 1), .c = out(c, 0),
                               .lda = m, .ldb = k, .ldc = k, .beta = c->in[2], .scratch = c->scratch };
}

static tt_status linear(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    const struct tt_matmul op = linear_matmul(c);
    return cpu->k->matmul(cpu->pool, &op, err);
}

static tt_status linear_i(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    static const float one = 1;
    struct tt_matmul op = linear_i_matmul(c);

    if (c->in[2]) { /* the gradient so far; usually it lies where the sum goes */
        if (c->in[2] != c->out[0])
            memcpy(c->out[0], c->in[2], tt_val_nbytes(in_desc(c, 2)));
        op.beta = &one;
    }
    return cpu->k->matmul(cpu->pool, &op, err);
}

static tt_status linear_w(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    const struct tt_matmul op = linear_w_matmul(c);
    return cpu->k->matmul(cpu->pool, &op, err);
}

static tt_status rmsnorm(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    (void)err;
    cpu->k->rmsnorm_fwd(cpu->pool, &(struct tt_rmsnorm_fwd){ .n = rows(c, 0), .d = width(c, 0), .eps = (float)c->op->real,
                                                             .x = in(c, 0), .w = in(c, 1), .y = out(c, 0), .rstd = c->out[1] });
    return TT_OK;
}

static tt_status rmsnorm_i(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    (void)err;
    cpu->k->rmsnorm_bwd_input(cpu->pool, &(struct tt_rmsnorm_bwd_input){ .n = rows(c, 1), .d = width(c, 1), .dy = in(c, 0),
                                                                         .x = in(c, 1), .w = in(c, 2), .add = in(c, 4),
                                                                         .rstd = c->in[3], .dx = out(c, 0) });
    return TT_OK;
}

static tt_status rmsnorm_w(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    (void)err;
    cpu->k->rmsnorm_bwd_weight(cpu->pool, &(struct tt_rmsnorm_bwd_weight){ .n = rows(c, 0), .d = width(c, 0), .dy = in(c, 0),
                                                                           .x = in(c, 1), .rstd = c->in[3], .dw = out(c, 0),
                                                                           .beta = c->in[2], .scratch = c->scratch });
    return TT_OK;
}

static tt_status rope(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    const struct tt_valdesc *x = in_desc(c, 0);

    (void)err;
    cpu->k->rope(cpu->pool, &(struct tt_rope){ .batch = x->size[0], .t = x->size[1], .heads = c->op->arg[0],
                                               .dim = x->size[2] / c->op->arg[0], .x = in(c, 0), .x_stride = x->size[2],
                                               .y = out(c, 0), .y_stride = x->size[2], .table = c->in[1], .pos = c->in[2],
                                               .inverse = c->op->arg[1] != 0 });
    return TT_OK;
}

static struct tt_attn attn_shape(const struct tt_op *op, const struct tt_valdesc *val)
{
    const struct tt_valdesc *q = &val[op->in[0]], *k = &val[op->in[1]], *v = &val[op->in[2]];
    return (struct tt_attn){
        .batch = q->size[0], .tq = q->size[1], .tk = k->size[1], .heads = op->arg[0], .kv_heads = op->arg[1],
        .dim = q->size[2] / op->arg[0], .dim_v = v->size[2] / op->arg[1], .scale = (float)op->real,
        .mask = { .causal = op->arg[2] != 0 },
    };
}

static struct tt_attn attn(const struct tt_call *c)
{
    struct tt_attn at = attn_shape(c->op, c->val);
    at.mask.q_doc = at.mask.k_doc = c->in[3];
    at.mask.q_pos = tt_op_kind(c->op) == TT_OP_ATTENTION ? c->in[4] : NULL;
    return at;
}

static tt_status attention(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    (void)err;
    cpu->k->attn_fwd(cpu->pool, &(struct tt_attn_fwd){ .at = attn(c), .q = in(c, 0), .k = in(c, 1), .v = in(c, 2),
                                                       .q_stride = width(c, 0), .k_stride = width(c, 1), .v_stride = width(c, 2),
                                                       .o = out(c, 0), .o_stride = c->val[c->op->out[0]].size[2],
                                                       .lse = c->out[1], .scratch = c->scratch });
    return TT_OK;
}

static tt_status attention_i(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    (void)err;
    cpu->k->attn_bwd(cpu->pool, &(struct tt_attn_bwd){ .at = attn(c), .q = in(c, 0), .k = in(c, 1), .v = in(c, 2), .o = in(c, 4),
                                                       .dout = in(c, 6), .q_stride = width(c, 0), .k_stride = width(c, 1),
                                                       .v_stride = width(c, 2), .o_stride = width(c, 4), .dout_stride = width(c, 6),
                                                       .lse = c->in[5], .dq = out(c, 0), .dk = out(c, 1), .dv = out(c, 2),
                                                       .dq_stride = width(c, 0), .dk_stride = width(c, 1), .dv_stride = width(c, 2),
                                                       .scratch = c->scratch });
    return TT_OK;
}

static tt_status cache(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    const struct tt_valdesc *x = in_desc(c, 0);

    (void)cpu;
    (void)err;
    tt_cache_store(&(struct tt_cache_store){ .batch = x->size[0],
                                             .t = x->size[1],
                                             .rows = c->val[c->op->out[0]].size[1],
                                             .width = x->size[2],
                                             .x = in(c, 0),
                                             .y = out(c, 0),
                                             .pos = c->in[1] });
    return TT_OK;
}

static tt_status swiglu(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    (void)err;
    cpu->k->swiglu_fwd(cpu->pool, &(struct tt_swiglu_fwd){ .n = tt_val_numel(in_desc(c, 0)), .a = in(c, 0), .b = in(c, 1),
                                                           .y = out(c, 0) });
    return TT_OK;
}

static tt_status swiglu_i(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    (void)err;
    cpu->k->swiglu_bwd(cpu->pool, &(struct tt_swiglu_bwd){ .n = tt_val_numel(in_desc(c, 1)), .dy = in(c, 0), .a = in(c, 1),
                                                           .b = in(c, 2), .da = out(c, 0), .db = out(c, 1) });
    return TT_OK;
}

static tt_status add(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    (void)err;
    cpu->k->add(cpu->pool, &(struct tt_add){ .n = tt_val_numel(in_desc(c, 0)), .a = in(c, 0), .b = in(c, 1), .y = out(c, 0) });
    return TT_OK;
}

static tt_status accumulate(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    const struct tt_out y = out(c, 0);

    (void)err;
    if (c->in[1])
        cpu->k->add(cpu->pool, &(struct tt_add){ .n = tt_val_numel(in_desc(c, 0)), .a = in(c, 0), .b = { y.p, y.dtype }, .y = y });
    else
        cpu->k->cast(cpu->pool, &(struct tt_cast){ .n = tt_val_numel(in_desc(c, 0)), .x = in(c, 0), .y = y });
    return TT_OK;
}

static tt_status cast(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    (void)err;
    cpu->k->cast(cpu->pool, &(struct tt_cast){ .n = tt_val_numel(in_desc(c, 0)), .x = in(c, 0), .y = out(c, 0) });
    return TT_OK;
}

static tt_status loss(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    (void)err;
    cpu->k->cross_entropy_fwd(cpu->pool, &(struct tt_cross_entropy_fwd){ .n = tt_val_numel(in_desc(c, 1)),
                                                                         .vocab = width(c, 0),
                                                                         .z = in(c, 0),
                                                                         .label = in(c, 1),
                                                                         .scale = c->in[2],
                                                                         .loss = c->out[0],
                                                                         .lse = c->out[1],
                                                                         .dz = out(c, 2),
                                                                         .row_loss = c->scratch,
                                                                         .nparts = c->in[3] ? (int)in_desc(c, 3)->size[0] : 0,
                                                                         .part = c->in[3],
                                                                         .first = c->op->arg[0],
                                                                         .total = c->op->arg[1] });
    return TT_OK;
}

static tt_status loss_part(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    (void)err;
    cpu->k->cross_entropy_part(cpu->pool, &(struct tt_cross_entropy_part){ .n = tt_val_numel(in_desc(c, 1)),
                                                                           .vocab = width(c, 0),
                                                                           .first = c->op->arg[0],
                                                                           .z = in(c, 0),
                                                                           .label = in(c, 1),
                                                                           .part = c->out[0] });
    return TT_OK;
}

/* Columns of a matrix, wherever they go: rows of nbytes each. */
static void copy_columns(void *to, int64_t to_stride, const void *from, int64_t from_stride, int64_t n, int64_t nbytes)
{
    for (int64_t i = 0; i < n; i++)
        memcpy((char *)to + i * to_stride, (const char *)from + i * from_stride, (size_t)nbytes);
}

static tt_status columns(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    const struct tt_valdesc *y = &c->val[c->op->out[0]];
    const int64_t nbytes = (int64_t)tt_dtype_nbytes(y->dtype), stride = width(c, 0) * nbytes, w = y->size[y->ndim - 1] * nbytes;

    (void)cpu;
    (void)err;
    copy_columns(c->out[0], w, (const char *)c->in[0] + c->op->arg[0] * nbytes, stride, rows(c, 0), w);
    return TT_OK;
}

static tt_status sumsq(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    (void)err;
    if (c->op->arg[0]) {
        *(double *)c->out[0] = 0;
        return TT_OK;
    }
    cpu->k->sumsq(cpu->pool, &(struct tt_sumsq){ .n = tt_val_numel(in_desc(c, 0)), .x = in(c, 0), .sumsq = c->out[0],
                                                 .scratch = c->scratch });
    return TT_OK;
}

static tt_status clip(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    (void)cpu;
    (void)err;
    tt_clip_coef(c->in[0], c->op->arg[0], *(const double *)c->in[1], c->out[1], c->out[0]);
    return TT_OK;
}

static tt_status adam(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    const struct tt_adam_now *now = c->in[2];

    (void)err;
    cpu->k->adam(cpu->pool, &(struct tt_adam){ .n = tt_val_numel(in_desc(c, 0)), .p = out(c, 0), .m = out(c, 1), .v = out(c, 2),
                                               .g = in(c, 0), .consts = now->consts, .scalars = &now->scalars,
                                               .grad_mul = c->in[1] });
    return TT_OK;
}

/* --- collectives ------------------------------------------------------------------------------------------------------------ */

/* counts: room for one a rank, which is kept until the collective is done; parts that are all the same need none. */
static struct tt_coll coll(const struct tt_call *c, int64_t *counts)
{
    static const enum tt_coll_kind kinds[TT_NOPS] = {
        [TT_OP_ALL_GATHER] = TT_COLL_ALL_GATHER,
        [TT_OP_REDUCE_SCATTER] = TT_COLL_REDUCE_SCATTER,
        [TT_OP_ALL_REDUCE] = TT_COLL_ALL_REDUCE,
        [TT_OP_GATHER_COLUMNS] = TT_COLL_ALL_GATHER,
    };
    const struct tt_valdesc *x = in_desc(c, 0), *y = &c->val[c->op->out[0]];
    const enum tt_opkind kind = tt_op_kind(c->op);
    const int64_t n = c->op->arg[0], ranks = c->op->arg[1];
    const int64_t all = tt_val_numel(kind == TT_OP_REDUCE_SCATTER ? x : y);
    struct tt_coll coll = {
        .kind = kinds[kind],
        .wire = x->dtype,
        .sum = x->dtype == TT_BF16 ? TT_F32 : x->dtype,
        .src = c->in[0],
        .dst = c->out[0],
        .count = n > 0 ? all / ranks : all,
        .what = c->op->what,
        .more = c->op->more,
    };

    for (int64_t r = 0; n % ranks != 0 && r < ranks; r++)
        counts[r] = tt_chunk(n, ranks, r).len * (all / n);
    coll.counts = n % ranks != 0 ? counts : NULL;
    return coll;
}

static uint64_t counts_nbytes(const struct tt_op *op)
{
    return op->arg[0] % op->arg[1] != 0 ? (uint64_t)op->arg[1] * sizeof(int64_t) : 0;
}

static tt_status post(struct cpu *cpu, const struct tt_call *c, uint64_t *ticket, struct tt_err *err)
{
    const struct tt_coll op = coll(c, c->scratch);
    return tt_comm_post(cpu->device.comm[c->op->queue], &op, ticket, err);
}

/* The ranks' columns arrive one rank after another, behind the counts, and are then put side by side. */
static tt_status gather_columns(struct cpu *cpu, const struct tt_call *c, struct tt_err *err)
{
    const struct tt_valdesc *y = &c->val[c->op->out[0]];
    const int64_t nbytes = (int64_t)tt_dtype_nbytes(y->dtype), n = rows(c, 0), ranks = c->op->arg[1];
    char *from = (char *)c->scratch + align_up(counts_nbytes(c->op));
    struct tt_coll op = coll(c, c->scratch);

    op.dst = from;
    const tt_status status = tt_comm_do(cpu->device.comm[c->op->queue], &op, err);
    for (int64_t r = 0; status == TT_OK && r < ranks; r++) {
        const struct tt_run run = tt_chunk(c->op->arg[0], ranks, r);
        copy_columns((char *)c->out[0] + run.at * nbytes, c->op->arg[0] * nbytes, from, run.len * nbytes, n, run.len * nbytes);
        from += n * run.len * nbytes;
    }
    return status;
}

typedef tt_status launch_fn(struct cpu *cpu, const struct tt_call *call, struct tt_err *err);

static launch_fn *const launches[TT_NOPS] = {
    [TT_OP_EMBEDDING] = embedding,
    [TT_OP_EMBEDDING_W] = embedding_w,
    [TT_OP_LINEAR] = linear,
    [TT_OP_LINEAR_I] = linear_i,
    [TT_OP_LINEAR_W] = linear_w,
    [TT_OP_RMSNORM] = rmsnorm,
    [TT_OP_RMSNORM_I] = rmsnorm_i,
    [TT_OP_RMSNORM_W] = rmsnorm_w,
    [TT_OP_ROPE] = rope,
    [TT_OP_ATTENTION] = attention,
    [TT_OP_ATTENTION_I] = attention_i,
    [TT_OP_CACHE] = cache,
    [TT_OP_SWIGLU] = swiglu,
    [TT_OP_SWIGLU_I] = swiglu_i,
    [TT_OP_ADD] = add,
    [TT_OP_ACCUMULATE] = accumulate,
    [TT_OP_CAST] = cast,
    [TT_OP_LOSS] = loss,
    [TT_OP_LOSS_PART] = loss_part,
    [TT_OP_GATHER_COLUMNS] = gather_columns,
    [TT_OP_COLUMNS] = columns,
    [TT_OP_SUMSQ] = sumsq,
    [TT_OP_CLIP] = clip,
    [TT_OP_ADAM] = adam,
};

/* --- the device ------------------------------------------------------------------------------------------------------------- */

static tt_status cpu_launch(struct tt_device *device, const struct tt_call *call, struct tt_event *done, struct tt_err *err)
{
    struct cpu *cpu = (struct cpu *)device;
    launch_fn *launch = launches[tt_op_kind(call->op)];

    *done = (struct tt_event){ .queue = TT_Q_COMPUTE };
    if (launch)
        return launch(cpu, call, err);
    done->queue = call->op->queue;
    return post(cpu, call, &done->seq, err);
}

static uint64_t cpu_scratch(struct tt_device *device, const struct tt_op *op, const struct tt_valdesc *val)
{
    const struct cpu *cpu = (const struct cpu *)device;
    const struct tt_call c = { .op = op, .val = val };
    struct tt_matmul mm;
    struct tt_attn at;

    switch (tt_op_kind(op)) {
    case TT_OP_EMBEDDING_W:
        return tt_embedding_scratch(rows(&c, 0), width(&c, 0), val[op->out[0]].size[0], nthreads(cpu));
    case TT_OP_LINEAR: mm = linear_matmul(&c); return tt_matmul_scratch(&mm, nthreads(cpu));
    case TT_OP_LINEAR_I: mm = linear_i_matmul(&c); return tt_matmul_scratch(&mm, nthreads(cpu));
    case TT_OP_LINEAR_W: mm = linear_w_matmul(&c); return tt_matmul_scratch(&mm, nthreads(cpu));
    case TT_OP_RMSNORM_W: return tt_rmsnorm_scratch(width(&c, 0), nthreads(cpu));
    case TT_OP_ATTENTION: at = attn_shape(op, val); return tt_attn_fwd_scratch(&at, nthreads(cpu));
    case TT_OP_ATTENTION_I: at = attn_shape(op, val); return tt_attn_bwd_scratch(&at, nthreads(cpu));
    case TT_OP_LOSS: return (uint64_t)tt_val_numel(&val[op->in[1]]) * sizeof(double);
    case TT_OP_ALL_GATHER:
    case TT_OP_REDUCE_SCATTER:
    case TT_OP_ALL_REDUCE: return counts_nbytes(op);
    case TT_OP_GATHER_COLUMNS: return align_up(counts_nbytes(op)) + tt_val_nbytes(&val[op->out[0]]);
    case TT_OP_SUMSQ: return TT_SUMSQ_PARTS * sizeof(double);
    default: return 0;
    }
}

/* Whole pages from the system: zeroed when first touched, and large ones where the system has them. */
static tt_status cpu_alloc(struct tt_device *device, uint64_t nbytes, void **p, struct tt_err *err)
{
    (void)device;
    if (nbytes == 0) {
        *p = NULL;
        return TT_OK;
    }
    void *got = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED)
        return tt_err_nomem(err, nbytes, "the buffers of a step");
    (void)madvise(got, nbytes, MADV_HUGEPAGE);
    *p = got;
    return TT_OK;
}

static void cpu_dealloc(struct tt_device *device, void *p, uint64_t nbytes)
{
    (void)device;
    if (p)
        munmap(p, nbytes);
}

static tt_status cpu_after(struct tt_device *device, enum tt_queue queue, const struct tt_event *event, int n, struct tt_err *err)
{
    (void)queue; /* whichever: this thread launches all of it */
    for (int i = 0; i < n; i++) {
        const tt_status status =
            event[i].queue == TT_Q_COMPUTE ? TT_OK : tt_comm_wait(device->comm[event[i].queue], event[i].seq, err);
        if (status != TT_OK)
            return status;
    }
    return TT_OK;
}

static tt_status cpu_sync(struct tt_device *device, struct tt_err *err)
{
    (void)device;
    (void)err;
    return TT_OK;
}

static void cpu_free(struct tt_device *device)
{
    free(device);
}

static const struct tt_device_ops cpu_ops = {
    .alloc = cpu_alloc, .dealloc = cpu_dealloc, .scratch = cpu_scratch, .launch = cpu_launch,
    .after = cpu_after, .sync = cpu_sync, .free = cpu_free,
};

tt_status tt_device_cpu(struct tt_device **out_device, struct tt_pool *pool, const struct tt_kernels *kernels, struct tt_err *err)
{
    struct cpu *cpu = calloc(1, sizeof *cpu);
    if (!cpu)
        return tt_err_nomem(err, sizeof *cpu, "the CPU device");
    *cpu = (struct cpu){ .device = { .name = "cpu", .ops = &cpu_ops }, .pool = pool, .k = kernels };
    *out_device = &cpu->device;
    return TT_OK;
}

void tt_device_free(struct tt_device *device)
{
    if (device)
        device->ops->free(device);
}
