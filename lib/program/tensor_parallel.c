/* Tensor parallelism with sequence parallelism (Shoeybi et al. 2019; Korthikanti et al. 2022), laid out as TorchTitan's: between
 * the blocks each rank has its rows, norms and sums work on those; products that are cut by outputs read all rows, products that
 * are cut by inputs leave a term each. The gradients are the mirror of that. */
#include <assert.h>
#include <stdlib.h>

#include "program/program_private.h"

static const struct tt_group *group_of(const struct tt_rec *rec) { return &rec->prog->group[TT_Q_TP]; }

static bool is_alone(const struct tt_rec *rec) { return group_of(rec)->size <= 1; }

enum tt_tp_place tt_rec_tp_place(const struct tt_rec *rec, tt_val w)
{
    const struct tt_valdesc *d = &rec->prog->val[w];
    return is_alone(rec) || d->cls != TT_PARAM ? TT_TP_REPLICATE : rec->prog->params->p[d->ref].row->tp;
}

struct tt_run tt_rec_tp_piece(const struct tt_rec *rec, int64_t len)
{
    return is_alone(rec) ? (struct tt_run){ 0, len } : tt_chunk(len, group_of(rec)->size, group_of(rec)->rank);
}

int64_t tt_rec_tp_share(const struct tt_rec *rec, tt_val v, int64_t n)
{
    if (rec->prog->val[v].place != TT_COLUMNS)
        return n;
    assert(n % group_of(rec)->size == 0);
    return n / group_of(rec)->size;
}

/* A result of a collective, of these sizes. */
static tt_val placed(struct tt_rec *rec, tt_val like, enum tt_place place, int64_t all, const int64_t size[3])
{
    struct tt_valdesc desc = rec->prog->val[like];

    desc.cls = TT_ACT;
    desc.grad_dtype = desc.dtype;
    desc.ndim = 3;
    desc.layer = rec->layer;
    desc.op = -1;
    desc.place = place;
    desc.all = all;
    for (int i = 0; i < 3; i++)
        desc.size[i] = size[i];
    return tt_rec_new(rec, &desc);
}

tt_val tt_rec_tp_gather(struct tt_rec *rec, tt_val v)
{
    const struct tt_program *prog = rec->prog;
    const struct tt_valdesc d = prog->val[v];

    if (d.place != TT_ROWS)
        return v;
    for (int i = 0; i < prog->nops; i++) {
        const struct tt_op *op = &prog->op[i];
        if (tt_op_kind(op) == TT_OP_ALL_GATHER && op->in[0] == v && op->phase == rec->phase)
            return op->out[0];
    }
    const tt_val y = placed(rec, v, TT_WHOLE, 0, (int64_t[]){ prog->batch, prog->seq_len, d.size[2] });
    tt_rec_collective(rec, TT_OP_ALL_GATHER, TT_Q_TP, d.all, v, y);
    return y;
}

tt_val tt_rec_tp_scatter(struct tt_rec *rec, tt_val v)
{
    const struct tt_valdesc d = rec->prog->val[v];
    const int64_t rows = d.size[0] * d.size[1];
    const tt_val y = placed(rec, v, TT_ROWS, rows, (int64_t[]){ 1, tt_rec_tp_piece(rec, rows).len, d.size[2] });

    tt_rec_collective(rec, TT_OP_REDUCE_SCATTER, TT_Q_TP, rows, v, y);
    return y;
}

tt_val tt_rec_tp_whole_logits(struct tt_rec *rec, tt_val logits)
{
    const struct tt_valdesc d = rec->prog->val[logits];
    const tt_val y = placed(rec, logits, TT_WHOLE, 0, (int64_t[]){ d.size[0], d.size[1], d.all });

    tt_rec_collective(rec, TT_OP_GATHER_COLUMNS, TT_Q_TP, d.all, logits, y);
    return y;
}

tt_val tt_rec_tp_loss_parts(struct tt_rec *rec, tt_val logits, tt_val labels)
{
    const struct tt_valdesc d = rec->prog->val[logits];
    const int64_t rows = d.size[0] * d.size[1], ranks = group_of(rec)->size;
    const tt_val mine = placed(rec, logits, TT_WHOLE, 0, (int64_t[]){ 1, rows, 2 });
    const tt_val all = placed(rec, logits, TT_WHOLE, 0, (int64_t[]){ ranks, rows, 2 });

    if (!rec->failed)
        rec->prog->val[mine].dtype = rec->prog->val[all].dtype = TT_F32;
    tt_rec_op(rec, TT_OP_LOSS_PART, 2, (tt_val[]){ logits, labels }, 1, &mine)->arg[0] = tt_rec_tp_piece(rec, d.all).at;
    tt_rec_collective(rec, TT_OP_ALL_GATHER, TT_Q_TP, ranks * rows, mine, all);
    return all;
}

/* Is this a term of the gradient of a parameter that every rank has, from what the rank alone has? */
static bool is_term(const struct tt_rec *rec, const struct tt_op *op)
{
    const struct tt_program *prog = rec->prog;
    return op->phase == TT_W && prog->val[op->out[0]].cls == TT_PARAM && tt_rec_tp_place(rec, op->out[0]) == TT_TP_REPLICATE &&
           prog->val[op->in[0]].place != TT_WHOLE;
}

void tt_rec_tp_reduce_grads(struct tt_rec *rec)
{
    const struct tt_program *prog = rec->prog;
    const int nops = prog->nops;

    rec->phase = TT_R;
    for (int i = 0; i < nops && !is_alone(rec); i++) {
        const tt_val dw = prog->op[i].out[0];
        bool first = is_term(rec, &prog->op[i]);
        for (int j = 0; j < i && first; j++)
            first = prog->op[j].phase != TT_W || prog->op[j].out[0] != dw;
        if (first)
            tt_rec_collective(rec, TT_OP_ALL_REDUCE, TT_Q_TP, 0, dw, dw);
    }
    tt_rec_together(rec, nops);
}
