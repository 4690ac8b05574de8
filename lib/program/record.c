#include "program/record.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "program/program_private.h"

/* --- values and operations -------------------------------------------------------------------------------------------------- */

static bool grow(void **array, size_t size, uint32_t cap)
{
    void *bigger = realloc(*array, size * cap);
    if (!bigger)
        return false;
    *array = bigger;
    return true;
}

tt_val tt_rec_new(struct tt_rec *rec, const struct tt_valdesc *desc)
{
    struct tt_program *prog = rec->prog;

    if (prog->nvals == prog->cap_vals) {
        const uint32_t cap = prog->cap_vals ? 2 * prog->cap_vals : 256;
        if (!grow((void **)&prog->val, sizeof *prog->val, cap)) {
            rec->failed = true;
            return 0; /* a value that exists; the program is thrown away */
        }
        prog->cap_vals = cap;
    }
    prog->val[prog->nvals] = *desc;
    return prog->nvals++;
}

/* Values outside the arena are named by what they are: the same name twice is the same value. */
static tt_val named(struct tt_rec *rec, const struct tt_valdesc *desc)
{
    const struct tt_program *prog = rec->prog;

    for (tt_val v = 0; v < prog->nvals; v++) {
        const struct tt_valdesc *d = &prog->val[v];
        if (d->cls == desc->cls && d->ref == desc->ref && d->role == desc->role && d->index == desc->index &&
            d->dtype == desc->dtype)
            return v;
    }
    return tt_rec_new(rec, desc);
}

static tt_val new_act(struct tt_rec *rec, enum tt_dtype dtype, int ndim, const int64_t *size)
{
    struct tt_valdesc desc = { .cls = TT_ACT, .dtype = dtype, .grad_dtype = dtype, .ndim = ndim, .layer = rec->layer, .op = -1 };
    memcpy(desc.size, size, (size_t)ndim * sizeof *size);
    return tt_rec_new(rec, &desc);
}

static tt_val in_place(struct tt_rec *rec, tt_val v, enum tt_place place, int64_t all)
{
    rec->prog->val[v].place = place;
    rec->prog->val[v].all = all;
    return v;
}

tt_val tt_rec_like(struct tt_rec *rec, tt_val v, enum tt_dtype dtype)
{
    const struct tt_valdesc like = rec->prog->val[v];
    return in_place(rec, new_act(rec, dtype, like.ndim, like.size), like.place, like.all);
}

struct tt_op *tt_rec_op(struct tt_rec *rec, enum tt_opkind kind, int nin, const tt_val *in, int nout, const tt_val *out)
{
    struct tt_program *prog = rec->prog;
    struct tt_op op = { .def = &tt_opdefs[kind], .phase = rec->phase, .queue = TT_Q_COMPUTE, .nin = nin, .nout = nout };

    assert(nin <= TT_OP_IN && nout <= TT_OP_OUT);
    for (int i = 0; i < nin; i++)
        op.in[i] = rec->remade && in[i] != TT_NO_VAL ? tt_rec_remade(rec, in[i]) : in[i];
    memcpy(op.out, out, (size_t)nout * sizeof *out);
    if (prog->nops == prog->cap_ops) {
        const int cap = prog->cap_ops ? 2 * prog->cap_ops : 128;
        if (!grow((void **)&prog->op, sizeof *prog->op, (uint32_t)cap)) {
            rec->failed = true;
            return &rec->nowhere;
        }
        prog->cap_ops = cap;
    }
    for (int i = 0; i < nout && !rec->failed; i++)
        if (out[i] != TT_NO_VAL && prog->val[out[i]].cls == TT_ACT)
            prog->val[out[i]].op = prog->nops;
    prog->op[prog->nops] = op;
    return &prog->op[prog->nops++];
}

static const char *what_of(const struct tt_program *prog, const struct tt_valdesc *d)
{
    if (d->cls == TT_PARAM)
        return prog->params->p[d->ref].fqn;
    return d->cls == TT_SCALAR ? "norms" : "activations";
}

void tt_rec_collective(struct tt_rec *rec, enum tt_opkind kind, enum tt_queue queue, int64_t rows, tt_val x, tt_val y)
{
    struct tt_op *op = tt_rec_op(rec, kind, 1, &x, 1, &y);

    op->queue = queue;
    op->arg[0] = rows;
    op->arg[1] = rec->prog->group[queue].size;
    op->what = rec->failed ? NULL : what_of(rec->prog, &rec->prog->val[x]);
}

static int64_t numel_read(const struct tt_program *prog, const struct tt_op *op) { return tt_val_numel(&prog->val[op->in[0]]); }

void tt_rec_together(struct tt_rec *rec, int first)
{
    struct tt_program *prog = rec->prog;

    for (int i = first; i < prog->nops && !rec->failed; i++) {
        const struct tt_op op = prog->op[i];
        int at = i;
        for (; at > first && numel_read(prog, &prog->op[at - 1]) < numel_read(prog, &op); at--)
            prog->op[at] = prog->op[at - 1];
        prog->op[at] = op;
    }
    for (int i = first; i < prog->nops && !rec->failed; i++) {
        struct tt_op *op = &prog->op[i];
        op->more = i + 1 < prog->nops && prog->val[op->in[0]].dtype == prog->val[op[1].in[0]].dtype;
        if (prog->val[op->out[0]].cls == TT_ACT)
            prog->val[op->out[0]].op = i;
    }
}

tt_val tt_rec_scalar(struct tt_rec *rec, enum tt_scalar which, int index)
{
    const struct tt_valdesc desc = { .cls = TT_SCALAR, .dtype = TT_F32, .ref = which, .index = index, .layer = -1, .op = -1 };
    return named(rec, &desc);
}

tt_val tt_rec_role(struct tt_rec *rec, int param, enum tt_role role, enum tt_dtype dtype)
{
    const struct tt_param *p = &rec->prog->params->p[param];
    struct tt_valdesc desc = {
        .cls = TT_PARAM, .dtype = dtype, .grad_dtype = rec->prog->param_dtype, .ndim = p->ndim, .ref = param, .role = role,
        .layer = -1, .op = -1,
    };
    for (int dim = 0; dim < p->ndim; dim++)
        desc.size[dim] = (int)p->row->tp == (int)TT_TP_SHARD0 + dim ? tt_rec_tp_piece(rec, p->size[dim]).len : p->size[dim];
    const struct tt_group *sharded = &rec->prog->group[TT_Q_GATHER];
    if (rec->prog->is_sharded && sharded->size > 1)
        desc.size[0] = tt_chunk(desc.size[0], sharded->size, sharded->rank).len;
    return named(rec, &desc);
}

/* The parameter as products read it. Another type than the stored one is a copy, made when the unit is gathered. */
static tt_val param_full(struct tt_rec *rec, int param, enum tt_dtype dtype)
{
    const tt_val shard = tt_rec_role(rec, param, TT_ROLE_SHARD, rec->prog->param_dtype);
    if (dtype == rec->prog->param_dtype)
        return shard;

    const tt_val before = rec->prog->nvals;
    const tt_val full = tt_rec_role(rec, param, TT_ROLE_FULL, dtype);
    if (full == before) {
        const enum tt_phase phase = rec->phase;
        rec->phase = TT_U;
        tt_rec_op(rec, TT_OP_CAST, 1, &shard, 1, &full);
        rec->phase = phase;
    }
    return full;
}

tt_val tt_rec_cast(struct tt_rec *rec, tt_val v, enum tt_dtype dtype)
{
    struct tt_program *prog = rec->prog;

    if (prog->val[v].dtype == dtype)
        return v;
    if (prog->val[v].cls == TT_PARAM)
        return param_full(rec, prog->val[v].ref, dtype);
    for (int i = 0; i < prog->nops; i++) {
        const struct tt_op *op = &prog->op[i];
        if (tt_op_kind(op) == TT_OP_CAST && op->in[0] == v && prog->val[op->out[0]].dtype == dtype && op->phase == rec->phase)
            return op->out[0];
    }
    const tt_val y = tt_rec_like(rec, v, dtype);
    prog->val[y].grad_dtype = prog->val[v].grad_dtype; /* its readers' gradients are summed as if each had cast for itself */
    tt_rec_op(rec, TT_OP_CAST, 1, &v, 1, &y);
    return y;
}

static enum tt_dtype wider(enum tt_dtype a, enum tt_dtype b)
{
    return a == b ? a : TT_F32;
}

/* --- the vocabulary --------------------------------------------------------------------------------------------------------- */

void tt_rec_layer(struct tt_rec *rec, int layer)
{
    rec->layer = layer;
}

tt_val tt_rec_input(struct tt_rec *rec, enum tt_input which)
{
    const struct tt_valdesc desc = {
        .cls = TT_INPUT, .dtype = TT_I32, .ndim = 2, .size = { rec->prog->batch, rec->prog->seq_len }, .ref = which, .layer = -1,
        .op = -1,
    };
    return named(rec, &desc);
}

enum tt_dtype tt_prec_product_dtype(enum tt_prec prec, enum tt_dtype param_dtype)
{
    switch (prec) {
    case TT_PREC_AUTOCAST:
    case TT_PREC_PARAM: return TT_BF16;
    case TT_PREC_PARAM_F32: return TT_F32;
    default: return param_dtype;
    }
}

/* Of parameters; autocast casts where it wants another. */
static enum tt_dtype read_dtype(const struct tt_rec *rec)
{
    const enum tt_dtype stored = rec->prog->param_dtype;
    return rec->prec == TT_PREC_AUTOCAST ? stored : tt_prec_product_dtype(rec->prec, stored);
}

tt_val tt_rec_param(struct tt_rec *rec, const char *key)
{
    const struct tt_params *params = rec->prog->params;

    for (int i = 0; i < params->n; i++) {
        const struct tt_param *p = &params->p[i];
        if (p->layer == (p->row->part == TT_PART_LAYER ? rec->layer : -1) && strcmp(p->row->key, key) == 0)
            return param_full(rec, i, read_dtype(rec));
    }
    assert(false && "the family's table has no such parameter");
    return TT_NO_VAL;
}

tt_val tt_rec_embedding(struct tt_rec *rec, tt_val w, tt_val ids)
{
    const struct tt_valdesc *wd = &rec->prog->val[w], *id = &rec->prog->val[ids];
    const int64_t size[] = { id->size[0], id->size[1], wd->size[1] };
    const bool cut = tt_rec_tp_place(rec, w) == TT_TP_SHARD0;
    const int64_t first = cut ? tt_rec_tp_piece(rec, rec->prog->params->p[wd->ref].size[0]).at : 0;
    const tt_val y = new_act(rec, wd->dtype, 3, size);

    tt_rec_op(rec, TT_OP_EMBEDDING, 2, (tt_val[]){ w, ids }, 1, &y)->arg[0] = first;
    return cut ? tt_rec_tp_scatter(rec, y) : y;
}

tt_val tt_rec_linear(struct tt_rec *rec, tt_val x, tt_val w)
{
    if (rec->prec == TT_PREC_AUTOCAST) {
        x = tt_rec_cast(rec, x, TT_BF16);
        w = tt_rec_cast(rec, w, TT_BF16);
    }
    const enum tt_tp_place cut = tt_rec_tp_place(rec, w);
    if (cut == TT_TP_SHARD0)
        x = tt_rec_tp_gather(rec, x);
    const struct tt_valdesc xd = rec->prog->val[x], *wd = &rec->prog->val[w];
    assert(rec->failed ||
           (xd.size[2] == wd->size[1] && xd.dtype == wd->dtype && (xd.place == TT_COLUMNS) == (cut == TT_TP_SHARD1)));
    const int64_t size[] = { xd.size[0], xd.size[1], wd->size[0] };
    const int64_t all = cut == TT_TP_SHARD0 ? rec->prog->params->p[wd->ref].size[0] : xd.all;
    const enum tt_place place = cut == TT_TP_SHARD0 ? TT_COLUMNS : cut == TT_TP_SHARD1 ? TT_WHOLE : xd.place;
    const tt_val y = in_place(rec, new_act(rec, xd.dtype, 3, size), place, all);

    tt_rec_op(rec, TT_OP_LINEAR, 2, (tt_val[]){ x, w }, 1, &y);
    return cut == TT_TP_SHARD1 ? tt_rec_tp_scatter(rec, y) : y;
}

tt_val tt_rec_rmsnorm(struct tt_rec *rec, tt_val x, tt_val w, double eps)
{
    const struct tt_valdesc xd = rec->prog->val[x];
    assert(rec->failed || xd.size[2] == rec->prog->val[w].size[0]);
    const tt_val y = tt_rec_like(rec, x, wider(xd.dtype, rec->prog->val[w].dtype));
    const tt_val rstd = new_act(rec, TT_F32, 2, xd.size);

    tt_rec_op(rec, TT_OP_RMSNORM, 2, (tt_val[]){ x, w }, 2, (tt_val[]){ y, rstd })->real = eps;
    return y;
}

tt_val tt_rec_rope(struct tt_rec *rec, tt_val x, tt_val positions, int64_t heads)
{
    const struct tt_valdesc xd = rec->prog->val[x];
    heads = tt_rec_tp_share(rec, x, heads);
    const int64_t dim = xd.size[2] / heads, end = rec->prog->cache_len ? rec->prog->cache_len : rec->prog->seq_len;
    const struct tt_valdesc table = {
        .cls = TT_CONST,
        .dtype = TT_F32,
        .ndim = 3,
        .size = { end, dim / 2, 2 },
        .ref = TT_CONST_ROPE,
        .layer = -1,
        .op = -1,
    };
    assert(rec->failed || (dim * heads == xd.size[2] && dim % 2 == 0));
    const tt_val in[] = { x, named(rec, &table), positions };
    const tt_val y = tt_rec_like(rec, x, xd.dtype);

    tt_rec_op(rec, TT_OP_ROPE, 3, in, 1, &y)->arg[0] = heads;
    return y;
}

/* The cache of the layer's keys (0) or values (1) with v in it. */
static tt_val cached(struct tt_rec *rec, tt_val v, tt_val positions, int which)
{
    const struct tt_valdesc vd = rec->prog->val[v];
    const struct tt_valdesc desc = {
        .cls = TT_CACHE,
        .dtype = vd.dtype,
        .ndim = 3,
        .size = { vd.size[0], rec->prog->cache_len, vd.size[2] },
        .ref = rec->layer,
        .index = which,
        .layer = rec->layer,
        .op = -1,
    };
    const tt_val cache = named(rec, &desc);

    tt_rec_op(rec, TT_OP_CACHE, 2, (tt_val[]){ v, positions }, 1, &cache);
    return cache;
}

tt_val tt_rec_attention(struct tt_rec *rec, tt_val q, tt_val k, tt_val v, int64_t heads, int64_t kv_heads,
                        const struct tt_mask *mask)
{
    if (rec->prec == TT_PREC_AUTOCAST) {
        q = tt_rec_cast(rec, q, TT_BF16);
        k = tt_rec_cast(rec, k, TT_BF16);
        v = tt_rec_cast(rec, v, TT_BF16);
    }
    tt_val documents = mask->documents, positions = TT_NO_VAL;
    if (rec->prog->cache_len) {
        positions = mask->positions;
        documents = TT_NO_VAL;
        k = cached(rec, k, positions, 0);
        v = cached(rec, v, positions, 1);
    }
    const struct tt_valdesc qd = rec->prog->val[q], vd = rec->prog->val[v];
    const int64_t all = heads * (vd.all / kv_heads);
    heads = tt_rec_tp_share(rec, q, heads);
    kv_heads = tt_rec_tp_share(rec, v, kv_heads);
    const int64_t dim = qd.size[2] / heads, dim_v = vd.size[2] / kv_heads;
    const tt_val o = in_place(rec, new_act(rec, qd.dtype, 3, (int64_t[]){ qd.size[0], qd.size[1], heads * dim_v }), qd.place, all);
    const tt_val lse = new_act(rec, TT_F32, 3, (int64_t[]){ qd.size[0], heads, qd.size[1] });

    assert(rec->failed || (rec->prog->val[k].size[2] == kv_heads * dim && heads % kv_heads == 0));
    struct tt_op *op = tt_rec_op(rec, TT_OP_ATTENTION, 5, (tt_val[]){ q, k, v, documents, positions }, 2, (tt_val[]){ o, lse });
    op->arg[0] = heads;
    op->arg[1] = kv_heads;
    op->arg[2] = mask->causal;
    op->real = 1 / sqrt((double)dim);
    return o;
}

tt_val tt_rec_swiglu(struct tt_rec *rec, tt_val a, tt_val b)
{
    const tt_val y = tt_rec_like(rec, a, wider(rec->prog->val[a].dtype, rec->prog->val[b].dtype));

    tt_rec_op(rec, TT_OP_SWIGLU, 2, (tt_val[]){ a, b }, 1, &y);
    return y;
}

tt_val tt_rec_add(struct tt_rec *rec, tt_val a, tt_val b)
{
    const tt_val y = tt_rec_like(rec, a, wider(rec->prog->val[a].dtype, rec->prog->val[b].dtype));

    tt_rec_op(rec, TT_OP_ADD, 2, (tt_val[]){ a, b }, 1, &y);
    return y;
}

tt_val tt_rec_asked(struct tt_rec *rec, tt_val x)
{
    if (!rec->prog->cache_len)
        return x;
    const struct tt_valdesc xd = rec->prog->val[x];
    const struct tt_valdesc last = {
        .cls = TT_INPUT,
        .dtype = TT_I32,
        .ndim = 2,
        .size = { xd.size[0], 1 },
        .ref = TT_IN_LAST,
        .layer = -1,
        .op = -1,
    };
    const tt_val y = new_act(rec, xd.dtype, 3, (int64_t[]){ xd.size[0], 1, xd.size[2] });

    tt_rec_op(rec, TT_OP_EMBEDDING, 2, (tt_val[]){ x, named(rec, &last) }, 1, &y);
    return y;
}

void tt_rec_cross_entropy(struct tt_rec *rec, tt_val logits, tt_val labels)
{
    if (rec->prog->cache_len) {
        rec->prog->val[logits].cls = TT_OUTPUT;
        rec->prog->val[logits].ref = TT_OUT_LOGITS;
        return;
    }
    if (rec->whole_logits && rec->prog->val[logits].place == TT_COLUMNS)
        logits = tt_rec_tp_whole_logits(rec, logits);
    const struct tt_valdesc zd = rec->prog->val[logits];
    const bool parts = zd.place == TT_COLUMNS;
    const struct tt_valdesc loss = {
        .cls = TT_OUTPUT, .dtype = TT_F32, .grad_dtype = TT_F32, .ndim = 0, .ref = TT_OUT_LOSS, .layer = -1, .op = -1,
    };
    const tt_val lse = new_act(rec, TT_F32, 2, zd.size);
    const tt_val in[] = { logits, labels, tt_rec_scalar(rec, TT_S_INV_TOKENS, 0),
                          parts ? tt_rec_tp_loss_parts(rec, logits, labels) : TT_NO_VAL };

    rec->prog->loss = named(rec, &loss);
    struct tt_op *op = tt_rec_op(rec, TT_OP_LOSS, 4, in, 3, (tt_val[]){ rec->prog->loss, lse, TT_NO_VAL });
    op->arg[0] = parts ? tt_rec_tp_piece(rec, zd.all).at : 0;
    op->arg[1] = parts ? zd.all : zd.size[2];
}

/* --- beginning and end ------------------------------------------------------------------------------------------------------ */

tt_status tt_rec_begin(struct tt_rec *rec, const struct tt_rec_opts *opts, struct tt_err *err)
{
    struct tt_program *prog = calloc(1, sizeof *prog);
    if (!prog)
        return tt_err_nomem(err, sizeof *prog, "a program");
    prog->batch = opts->batch;
    prog->seq_len = opts->seq_len;
    prog->cache_len = opts->cache_len;
    memcpy(prog->group, opts->group, sizeof prog->group);
    prog->params = opts->params;
    prog->param_dtype = opts->param_dtype;
    prog->loss = TT_NO_VAL;
    *rec = (struct tt_rec){
        .prog = prog,
        .prec = opts->prec,
        .phase = TT_F,
        .layer = -1,
        .whole_logits = opts->whole_logits,
    };
    return TT_OK;
}

tt_status tt_rec_finish(struct tt_rec *rec, struct tt_program **out, struct tt_err *err)
{
    struct tt_program *prog = rec->prog;

    rec->prog = NULL;
    if (rec->failed) {
        tt_program_free(prog);
        return tt_err_nomem(err, 0, "a program");
    }
    tt_status status = tt_program_fold_casts(prog, err);
    if (status == TT_OK)
        status = tt_program_drop_dead(prog, err);
    if (status != TT_OK) {
        tt_program_free(prog);
        return status;
    }
    *out = prog;
    return TT_OK;
}

void tt_program_free(struct tt_program *prog)
{
    if (!prog)
        return;
    free(prog->op);
    free(prog->val);
    free(prog);
}
