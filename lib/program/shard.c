/* Parameters that are sharded over the ranks of a group (Rajbhandari et al. 2020, as PyTorch's fully_shard does it): a unit's are gathered
 * before its operations, and their gradients scattered behind them, each time all at once. Between a gathering and the unit that reads
 * it lie another unit's operations, and so between a scattering and the sum that it goes to. */
#include <limits.h>
#include <stdlib.h>

#include "program/program_private.h"

enum { FORWARD = 1, BACKWARD = 2 };

/* What of a unit lies where among the operations; INT_MAX and -1: nowhere. */
struct unit {
    int first[BACKWARD + 1]; /* that reads its parameters, by direction */
    int last_gradient;       /* that adds to their gradients */
};

struct sharding {
    struct tt_rec rec; /* what the operations are written to anew */
    struct tt_op *op;  /* (nops) as they were */
    int nops;
    tt_val nvals;
    uint8_t *read;      /* [value] of a parameter: in which directions */
    tt_val *whole;      /* [value] of a parameter, as it is read now; of a gradient, of one microbatch */
    tt_val *piece;      /* [value] of a gradient: of all ranks' sum, of one microbatch */
    bool *is_term;      /* [value] of a gradient: the ranks of a tensor parallel group have terms of it */
    struct unit *unit;  /* (nunits) */
    int nunits, *order; /* (nunits) of the units, by first use */
    int pending;        /* whose gradients are being scattered; -1: none */
};

static bool is_weight(const struct tt_program *prog, tt_val v)
{
    return v != TT_NO_VAL && prog->val[v].cls == TT_PARAM && (prog->val[v].role == TT_ROLE_SHARD || prog->val[v].role == TT_ROLE_FULL);
}

static bool is_grad(const struct tt_program *prog, tt_val v)
{
    return v != TT_NO_VAL && prog->val[v].cls == TT_PARAM && prog->val[v].role == TT_ROLE_GRAD;
}

static int unit_of(const struct tt_program *prog, tt_val v) { return prog->params->p[prog->val[v].ref].unit; }

static bool is_grad_of(const struct tt_program *prog, tt_val v, int unit) { return is_grad(prog, v) && unit_of(prog, v) == unit; }

/* 0: of neither direction. */
static int direction(const struct tt_op *op)
{
    return op->phase == TT_F ? FORWARD : op->phase == TT_I || op->phase == TT_W ? BACKWARD : 0;
}

static void find_units(struct sharding *s)
{
    const struct tt_program *prog = s->rec.prog;

    for (int u = 0; u < s->nunits; u++)
        s->unit[u] = (struct unit){ { INT_MAX, INT_MAX, INT_MAX }, -1 };
    for (int i = 0; i < s->nops; i++) {
        const struct tt_op *op = &s->op[i];
        const int way = direction(op);
        for (int j = 0; j < op->nin && way; j++) {
            if (!is_weight(prog, op->in[j]))
                continue;
            struct unit *u = &s->unit[unit_of(prog, op->in[j])];
            u->first[way] = i < u->first[way] ? i : u->first[way];
            s->read[op->in[j]] |= (uint8_t)way;
        }
        if (op->phase == TT_R)
            s->is_term[op->out[0]] = true;
        if (way && is_grad(prog, op->out[0]))
            s->unit[unit_of(prog, op->out[0])].last_gradient = i;
    }
}

/* Units by their first use in this direction, those without one last. */
static void sort_units(struct sharding *s, int way)
{
    for (int i = 0; i < s->nunits; i++) {
        int at = i;
        for (; at > 0 && s->unit[s->order[at - 1]].first[way] > s->unit[i].first[way]; at--)
            s->order[at] = s->order[at - 1];
        s->order[at] = i;
    }
}

/* --- parameters --------------------------------------------------------------------------------------------------------------- */

static tt_val new_like(struct sharding *s, tt_val v, bool piece)
{
    struct tt_program *prog = s->rec.prog;
    struct tt_valdesc desc = prog->val[v];

    desc.cls = TT_ACT;
    if (piece)
        desc.size[0] = tt_chunk(desc.size[0], prog->group[TT_Q_GATHER].size, prog->group[TT_Q_GATHER].rank).len;
    return tt_rec_new(&s->rec, &desc);
}

static void gather(struct sharding *s, int unit, int way)
{
    const int first = s->rec.prog->nops;

    for (tt_val v = 0; v < s->nvals; v++) {
        if (!(s->read[v] & way) || unit_of(s->rec.prog, v) != unit)
            continue;
        s->whole[v] = new_like(s, v, false);
        s->rec.phase = way == FORWARD ? TT_F : TT_I;
        tt_rec_collective(&s->rec, TT_OP_ALL_GATHER, TT_Q_GATHER, s->rec.prog->val[v].size[0], v, s->whole[v]);
    }
    tt_rec_together(&s->rec, first);
}

/* Is it given back after the forward? */
static bool is_given_back(const struct sharding *s, int unit, enum tt_give_back how)
{
    return how == TT_GIVE_BACK_ALL || (how == TT_GIVE_BACK_BUT_LAST && unit < s->nunits - 1);
}

static void gather_nth(struct sharding *s, int nth, int way, enum tt_give_back how)
{
    if (nth < s->nunits && s->unit[s->order[nth]].first[way] != INT_MAX &&
        (way == FORWARD || is_given_back(s, s->order[nth], how)))
        gather(s, s->order[nth], way);
}

/* What is gathered before operation i: where a unit begins the one behind it, and the very first. */
static void gather_before(struct sharding *s, int i, int way, enum tt_give_back how)
{
    for (int nth = 0; nth < s->nunits && way; nth++) {
        if (s->unit[s->order[nth]].first[way] != i)
            continue;
        if (nth == 0)
            gather_nth(s, 0, way, how);
        gather_nth(s, nth + 1, way, how);
    }
}

/* --- gradients ---------------------------------------------------------------------------------------------------------------- */

/* Sums are of float32, whatever the gradients are. */
static tt_val new_sum(struct sharding *s, tt_val v, bool piece)
{
    const tt_val sum = new_like(s, v, piece);
    if (!s->rec.failed)
        s->rec.prog->val[sum].dtype = TT_F32;
    return sum;
}

/* A collective from x to y, which are of gradient v. */
static void reduce(struct sharding *s, enum tt_opkind kind, enum tt_queue queue, int64_t rows, tt_val x, tt_val y, tt_val v)
{
    struct tt_rec *rec = &s->rec;

    tt_rec_collective(rec, kind, queue, rows, x, y);
    if (!rec->failed)
        rec->prog->op[rec->prog->nops - 1].what = rec->prog->params->p[rec->prog->val[v].ref].fqn;
}

static void scatter(struct sharding *s, int unit)
{
    struct tt_rec *rec = &s->rec;
    const int first = rec->prog->nops;

    rec->phase = TT_W;
    for (tt_val v = 0; v < s->nvals; v++) {
        if (!is_grad_of(rec->prog, v, unit))
            continue;
        s->piece[v] = new_sum(s, v, true);
        reduce(s, TT_OP_REDUCE_SCATTER, TT_Q_REDUCE, rec->prog->val[v].size[0], s->whole[v], s->piece[v], v);
    }
    tt_rec_together(rec, first);
}

/* Do other groups add up each microbatch's float32 sums, before they are rounded to what gradients are kept in? */
static bool adds_up_pieces(const struct tt_program *prog)
{
    return prog->group[TT_Q_GATHER].size > 1 && prog->param_dtype != TT_F32;
}

static void add_up_pieces(struct sharding *s, int unit, enum tt_queue queue)
{
    const int first = s->rec.prog->nops;

    for (tt_val v = 0; v < s->nvals && s->rec.prog->group[queue].size > 1; v++)
        if (is_grad_of(s->rec.prog, v, unit) && (queue != TT_Q_TP || s->is_term[v]))
            reduce(s, TT_OP_ALL_REDUCE, queue, 0, s->piece[v], s->piece[v], v);
    tt_rec_together(&s->rec, first);
}

/* What has been scattered goes to the gradient of the step. */
static void add_pending(struct sharding *s)
{
    struct tt_rec *rec = &s->rec;

    if (s->pending < 0)
        return;
    rec->phase = TT_W;
    if (adds_up_pieces(rec->prog)) {
        add_up_pieces(s, s->pending, TT_Q_TP);
        add_up_pieces(s, s->pending, TT_Q_REPLICATE);
    }
    for (tt_val v = 0; v < s->nvals; v++) {
        if (!is_grad_of(rec->prog, v, s->pending))
            continue;
        const tt_val term = tt_rec_cast(rec, s->piece[v], rec->prog->val[v].dtype);
        tt_rec_op(rec, TT_OP_ACCUMULATE, 2, (tt_val[]){ term, tt_rec_scalar(rec, TT_S_ACCUMULATE, 0) }, 1, &v);
    }
    s->pending = -1;
}

static void scatter_behind(struct sharding *s, int i)
{
    for (int u = 0; u < s->nunits; u++) {
        if (s->unit[u].last_gradient != i)
            continue;
        scatter(s, u);
        add_pending(s);
        s->pending = u;
    }
}

/* --- the operations ----------------------------------------------------------------------------------------------------------- */

/* The same operation on what is whole. */
static void copy_op(struct sharding *s, struct tt_op op)
{
    const struct tt_program *prog = s->rec.prog;

    if (direction(&op)) {
        const bool adds = is_grad(prog, op.out[0]);
        for (int j = 0; j < op.nin; j++)
            if (is_weight(prog, op.in[j]))
                op.in[j] = s->whole[op.in[j]];
            else if (adds && op.in[j] != TT_NO_VAL && prog->val[op.in[j]].cls == TT_SCALAR && prog->val[op.in[j]].ref == TT_S_ACCUMULATE)
                op.in[j] = TT_NO_VAL;
        if (adds)
            op.out[0] = s->whole[op.out[0]];
    }
    *tt_rec_op(&s->rec, tt_op_kind(&op), op.nin, op.in, op.nout, op.out) = op;
}

static void write_ops(struct sharding *s, enum tt_give_back how)
{
    int way = 0;

    for (tt_val v = 0; v < s->nvals; v++)
        if (is_grad(s->rec.prog, v))
            s->whole[v] = new_sum(s, v, false);
    for (int i = 0; i < s->nops && !s->rec.failed; i++) {
        const int now = direction(&s->op[i]);
        if (now && now != way)
            sort_units(s, way = now);
        gather_before(s, i, now, how);
        if (s->op[i].phase == TT_R)
            add_pending(s);
        if (s->op[i].phase != TT_R || !adds_up_pieces(s->rec.prog))
            copy_op(s, s->op[i]);
        scatter_behind(s, i);
    }
    add_pending(s);
}

static void cut_params(struct tt_program *prog, tt_val nvals)
{
    const struct tt_group *group = &prog->group[TT_Q_GATHER];
    prog->is_sharded = true;
    for (tt_val v = 0; v < nvals; v++)
        if (prog->val[v].cls == TT_PARAM)
            prog->val[v].size[0] = tt_chunk(prog->val[v].size[0], group->size, group->rank).len;
}

tt_status tt_program_shard(struct tt_program *prog, enum tt_give_back how, struct tt_err *err)
{
    const size_t n = (size_t)prog->nvals + 1, nunits = (size_t)prog->params->nunits;
    struct sharding s = { .rec = { .prog = prog, .layer = -1 }, .op = prog->op, .nops = prog->nops, .nvals = prog->nvals,
                          .nunits = prog->params->nunits, .pending = -1 };
    tt_status status = TT_OK;

    if (prog->group[TT_Q_GATHER].size <= 1)
        return TT_OK;
    s.read = calloc(n, sizeof *s.read);
    s.whole = calloc(n, sizeof *s.whole);
    s.piece = calloc(n, sizeof *s.piece);
    s.is_term = calloc(n, sizeof *s.is_term);
    s.unit = calloc(nunits, sizeof *s.unit);
    s.order = calloc(nunits, sizeof *s.order);
    if (!s.read || !s.whole || !s.piece || !s.is_term || !s.unit || !s.order) {
        status = tt_err_nomem(err, n * sizeof *s.whole, "a program");
    } else {
        prog->op = NULL;
        prog->nops = prog->cap_ops = 0;
        find_units(&s);
        write_ops(&s, how);
        cut_params(prog, s.nvals);
        free(s.op);
        status = s.rec.failed ? tt_err_nomem(err, 0, "a program") : tt_program_drop_dead(prog, err);
    }
    free(s.read);
    free(s.whole);
    free(s.piece);
    free(s.is_term);
    free(s.unit);
    free(s.order);
    return status;
}

/* --- replicas ----------------------------------------------------------------------------------------------------------------- */

/* [unit]: the last operation that adds to its gradients. */
static void find_last_gradients(int *last, const struct tt_program *prog)
{
    for (int u = 0; u < prog->params->nunits; u++)
        last[u] = -1;
    for (int i = 0; i < prog->nops; i++)
        if (prog->op[i].phase == TT_W && is_grad(prog, prog->op[i].out[0]))
            last[unit_of(prog, prog->op[i].out[0])] = i;
}

static void add_up_replicas(struct tt_rec *rec, tt_val nvals, int unit)
{
    const int first = rec->prog->nops;

    rec->phase = TT_R;
    for (tt_val v = 0; v < nvals; v++)
        if (is_grad_of(rec->prog, v, unit))
            tt_rec_collective(rec, TT_OP_ALL_REDUCE, TT_Q_REPLICATE, 0, v, v);
    tt_rec_together(rec, first);
}

tt_status tt_program_replicate(struct tt_program *prog, struct tt_err *err)
{
    struct tt_rec rec = { .prog = prog, .layer = -1 };
    const tt_val nvals = prog->nvals;
    const int nops = prog->nops;
    struct tt_op *op = prog->op;
    int *last = NULL;

    if (prog->group[TT_Q_REPLICATE].size <= 1 || adds_up_pieces(prog))
        return TT_OK;
    last = malloc((size_t)prog->params->nunits * sizeof *last);
    if (!last)
        return tt_err_nomem(err, (size_t)prog->params->nunits * sizeof *last, "a program");
    find_last_gradients(last, prog);
    prog->op = NULL;
    prog->nops = prog->cap_ops = 0;
    for (int i = 0; i < nops && !rec.failed; i++) {
        *tt_rec_op(&rec, tt_op_kind(&op[i]), op[i].nin, op[i].in, op[i].nout, op[i].out) = op[i];
        for (int u = 0; u < prog->params->nunits; u++)
            if (last[u] == i)
                add_up_replicas(&rec, nvals, u);
    }
    free(op);
    free(last);
    return rec.failed ? tt_err_nomem(err, 0, "a program") : TT_OK;
}
