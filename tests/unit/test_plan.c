/* Plans of whole steps at many layouts, gone through without running them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "program/plan_private.h"
#include "test_step.h"

static const struct tt_model_args small = {
    .dim = 48, .n_layers = 2, .n_heads = 24, .n_kv_heads = 24, .vocab_size = 71, .multiple_of = 1, .ffn_dim_multiplier = 1,
    .norm_eps = 1e-5, .rope_theta = 10000, .rope_scaling_args = { .scaling_factor = 8, .low_freq_factor = 1, .high_freq_factor = 4,
                           .original_max_position_embeddings = 8192 }, .depth_init = true,
};

/* The collectives of a queue, a line each: what the ranks of its group must agree on. */
static void list_queue(struct tt_buf *out, const struct tt_plan *plan, enum tt_queue queue)
{
    for (int i = 0; i < tt_plan_nops(plan); i++) {
        const struct tt_program *prog;
        int mb;
        const struct tt_op *op = tt_plan_op(plan, i, &prog, &mb);
        const struct tt_valdesc *x = &prog->val[op->in[0]];
        const int64_t numel = op->arg[0] > 0 ? 0 : tt_val_numel(x); /* where rows are cut it is the rank's own */
        if (op->queue == queue)
            tt_buf_printf(out, "%d: %s of %s, %lld rows or %lld %s%s\n", mb, op->def->name, op->what, (long long)op->arg[0],
                          (long long)numel, tt_dtype_name(x->dtype), op->more ? ", and" : "");
    }
}

/* --- what the ranks of a group do ------------------------------------------------------------------------------------------- */

/* All ranks of a tensor parallel group have the first one's collectives. */
static void check_group(struct tt_step_opts opts, int tp, const char *what)
{
    struct tt_buf first = { 0 }, other = { 0 };

    for (int rank = 0; rank < tp; rank++) {
        struct tt_buf *list = rank == 0 ? &first : &other;
        opts.group[TT_Q_TP] = (struct tt_group){ tp, rank };
        struct tt_step *step = make(&opts);
        tt_buf_clear(&other);
        list_queue(list, tt_step_plan(step), TT_Q_TP);
        if (rank > 0 && strcmp(tt_buf_cstr(&first), tt_buf_cstr(&other)) != 0)
            fail_msg("%s: rank %d of %d has other collectives than rank 0:\n%s\n%s", what, rank, tp, tt_buf_cstr(&other),
                     tt_buf_cstr(&first));
        tt_step_free(step);
    }
    assert_true(first.len > 0);
    tt_buf_release(&first);
    tt_buf_release(&other);
}

/* What is made again sends again what it sent: no budget may let the ranks choose by sizes of their own, which differ where the degree does
 * not divide the hidden size, or by how products are cut. */
static void test_ranks_of_a_group_make_the_same_again_whatever_the_budget(void **state)
{
    static const int degrees[] = { 2, 3, 4, 8 };
    static const double ffn[] = { 1, 1.01, 1.06, 1.3 }; /* hidden sizes 128, 129, 135, 166 */
    char what[100];

    (void)state;
    for (size_t d = 0; d < sizeof degrees / sizeof *degrees; d++)
        for (size_t f = 0; f < sizeof ffn / sizeof *ffn; f++)
            for (int i = 0; i < 2 * 21; i++) {
                struct tt_model_args args = small;
                struct tt_step_opts opts = { .family = tt_family_find("llama3"), .args = &args, .local_batch = 1, .seq_len = 24,
                                             .nmicrobatches = 1, .plan_only = true, .overlap = i % 2, .keep_budget = i / 2 / 20.0,
                                             .keep = { .kind = TT_KEEP_MOST } };
                args.ffn_dim_multiplier = ffn[f];
                snprintf(what, sizeof what, "budget %g, hidden size %g x 128, overlap %d", opts.keep_budget, ffn[f], opts.overlap);
                check_group(opts, degrees[d], what);
            }
}

/* --- what is in memory ------------------------------------------------------------------------------------------------------ */

/* Bytes, and whose they are; id 0: of nobody, or of something that has a place of its own. */
struct bytes {
    const char *p;
    uint64_t n, id;
};

/* What an operation touches: first inputs, then outputs, then scratch. */
struct touched {
    struct bytes in[TT_OP_IN], out[TT_OP_OUT + 1];
    int nin, nout;
};

struct memory {
    const struct tt_plan *plan;
    const char *what;              /* the settings of the plan */
    struct bytes *have;            /* (nhave) what was written last, wherever values share memory */
    int nhave, *pending, npending; /* events that have not been waited for */
};

static bool meet(const struct bytes *a, const struct bytes *b)
{
    return a->n > 0 && b->n > 0 && a->p < b->p + b->n && b->p < a->p + a->n;
}

static bool is_one(const struct bytes *a, const struct bytes *b) { return a->p == b->p && a->n == b->n && a->id == b->id; }

static void refuse(const struct memory *m, int event, const char *why)
{
    const struct tt_op *op = m->plan->call[event].op;
    fail_msg("event %d, %s (%c): %s: %s", event, op->def->name, op->phase, why, m->what);
}

static struct bytes bytes_of(const struct memory *m, int event, tt_val v, const void *p)
{
    const struct tt_moment *e = &m->plan->event[event];
    if (v == TT_NO_VAL)
        return (struct bytes){ 0 };
    const struct tt_valdesc *d = &e->prog->val[v];
    uint64_t id = d->cls == TT_ACT ? ((uint64_t)v + 1) << 16 | (uint64_t)(e->mb + 1) : 0;
    if (d->cls == TT_PARAM && tt_plan_is_passing(d->role))
        id = (uint64_t)1 << 63 | (uint64_t)d->ref << 8 | d->role;
    return (struct bytes){ p, p ? tt_val_nbytes(d) : 0, id };
}

/* Is one more term added to what is there? */
static bool adds(const struct tt_call *call)
{
    for (int i = 0; i < call->op->nin; i++) {
        const struct tt_valdesc *d = call->op->in[i] == TT_NO_VAL ? NULL : &call->val[call->op->in[i]];
        if (d && d->cls == TT_SCALAR && (d->ref == TT_S_ACCUMULATE || d->ref == TT_S_ONE) && call->in[i])
            return true;
    }
    return false;
}

static struct touched touched(const struct memory *m, int event)
{
    struct tt_device *device = m->plan->opts.device;
    const struct tt_call *call = &m->plan->call[event];
    const struct tt_op *op = call->op;
    struct touched t = { .nin = op->nin, .nout = op->nout + 1 };

    for (int i = 0; i < op->nin; i++)
        t.in[i] = bytes_of(m, event, op->in[i], call->in[i]);
    for (int i = 0; i < op->nout; i++)
        t.out[i] = bytes_of(m, event, op->out[i], call->out[i]);
    t.out[op->nout] = (struct bytes){ call->scratch, call->scratch ? device->ops->scratch(device, op, call->val) : 0, 0 };
    return t;
}

static void check_read(const struct memory *m, int event, const struct bytes *b)
{
    bool found = b->id == 0 || b->n == 0;

    for (int i = 0; i < m->nhave && !found; i++)
        found = is_one(&m->have[i], b);
    if (!found)
        refuse(m, event, "reads what is not there, or no more");
}

/* What runs still may be read by others, but what it writes may not. */
static void check_pending(const struct memory *m, int event, const struct touched *t)
{
    for (int i = 0; i < m->npending; i++) {
        const struct touched other = touched(m, m->pending[i]);
        for (int o = 0; o < other.nout; o++) {
            for (int j = 0; j < t->nin; j++)
                if (meet(&t->in[j], &other.out[o]))
                    refuse(m, event, "reads what a collective writes");
            for (int j = 0; j < t->nout; j++)
                if (meet(&t->out[j], &other.out[o]))
                    refuse(m, event, "writes what a collective writes");
        }
        for (int o = 0; o < other.nin; o++)
            for (int j = 0; j < t->nout; j++)
                if (meet(&t->out[j], &other.in[o]))
                    refuse(m, event, "writes what a collective reads");
    }
}

/* Does the operation's row let it write this result over an input? */
static bool may_lie_over(const struct tt_op *op, const struct touched *t, int o)
{
    for (int i = 0; i < t->nin && o < op->nout; i++)
        if ((op->def->over[o] >> i & 1) && t->in[i].p == t->out[o].p && t->in[i].n == t->out[o].n)
            return true;
    return false;
}

static void check_overlaps(const struct memory *m, int event, const struct touched *t)
{
    for (int o = 0; o < t->nout; o++) {
        for (int j = 0; j < o; j++)
            if (meet(&t->out[o], &t->out[j]))
                refuse(m, event, "two results in one place");
        for (int i = 0; i < t->nin; i++)
            if (meet(&t->out[o], &t->in[i]) && !is_one(&t->out[o], &t->in[i]) && !may_lie_over(m->plan->call[event].op, t, o))
                refuse(m, event, "a result over an input");
    }
}

static void write_bytes(struct memory *m, const struct bytes *b)
{
    int kept = 0;
    for (int i = 0; i < m->nhave; i++)
        if (!meet(&m->have[i], b))
            m->have[kept++] = m->have[i];
    m->nhave = kept;
    if (b->n > 0)
        m->have[m->nhave++] = *b;
}

/* Collectives that are one operation come one after another. */
static void check_together(const struct memory *m, int event)
{
    const struct tt_op *op = m->plan->call[event].op;
    if (op->more && (event + 1 == m->plan->nevents || m->plan->call[event + 1].op->queue != op->queue ||
                     m->plan->call[event + 1].op->def != op->def))
        refuse(m, event, "its operation is not whole");
}

static void check_event(struct memory *m, int event)
{
    const struct tt_call *call = &m->plan->call[event];
    const struct touched t = touched(m, event);
    int npending = 0;

    for (int i = 0; i < m->npending; i++)
        if (m->plan->before[m->pending[i]] > event)
            m->pending[npending++] = m->pending[i];
    m->npending = npending;
    for (int i = 0; i < t.nin; i++)
        check_read(m, event, &t.in[i]);
    if (adds(call))
        check_read(m, event, &t.out[0]);
    check_pending(m, event, &t);
    check_overlaps(m, event, &t);
    check_together(m, event);
    for (int i = 0; i < t.nout; i++)
        write_bytes(m, &t.out[i]);
    if (call->op->queue != TT_Q_COMPUTE) {
        assert_in_range(m->plan->before[event], event + 1, m->plan->nevents);
        m->pending[m->npending++] = event;
    }
}

static void check_memory(const struct tt_step *step, const char *what)
{
    struct memory m = { .plan = tt_step_plan(step), .what = what };
    const size_t n = (size_t)m.plan->nevents;

    m.have = calloc(n * (TT_OP_OUT + 1) + 1, sizeof *m.have);
    m.pending = calloc(n + 1, sizeof *m.pending);
    assert_true(m.have && m.pending);
    for (int i = 0; i < m.plan->nevents; i++)
        check_event(&m, i);
    free(m.have);
    free(m.pending);
}

/* --- plans of all kinds ----------------------------------------------------------------------------------------------------- */

enum { NCASES = 60, NSHARDS_MAX = 5, NTP_MAX = 4 };

/* Whose ranks have different plans. */
static const enum tt_queue queues[] = { TT_Q_TP, TT_Q_GATHER, TT_Q_REDUCE };
enum { NQUEUES = sizeof queues / sizeof *queues };

static int draw(unsigned *seed, int n)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (int)((*seed >> 8) % (unsigned)n);
}

struct layout {
    int shards, replicas, tp;
};

static struct layout draw_layout(unsigned *seed)
{
    static const int tp[] = { 1, 1, 2, 3, 4 }, shards[] = { 1, 1, 2, 3, 5 };
    struct layout l = { .shards = shards[draw(seed, 5)], .tp = tp[draw(seed, 5)] };
    l.replicas = l.shards == 1 && l.tp > 1 ? 1 : 1 + draw(seed, 2);
    return l;
}

static struct tt_model_args draw_model(unsigned *seed, int tp)
{
    struct tt_model_args args = small;
    args.dim = tp == 3 ? 24 : 32;
    args.n_layers = 1 + draw(seed, 3);
    args.n_heads = tp == 3 ? 6 : 4;
    args.n_kv_heads = tp == 3 ? 3 : 4;
    args.vocab_size = draw(seed, 2) ? 71 : 5; /* some ranks have nothing of it */
    args.multiple_of = draw(seed, 2) ? 1 : 8;
    return args;
}

static struct tt_step_opts draw_opts(unsigned *seed, const struct layout *l)
{
    static const char *const remade[] = { "w1", "attention.wq" };
    struct tt_step_opts o = { .family = tt_family_find("llama3"), .seq_len = 24 };
    const bool fsdp = l->shards > 1;

    o.param_dtype = draw(seed, 3) ? TT_F32 : TT_BF16;
    o.prec = draw(seed, 2) ? (fsdp ? TT_PREC_PARAM_F32 : TT_PREC_F32)
             : fsdp        ? TT_PREC_PARAM
                           : (l->tp > 1 ? TT_PREC_F32 : TT_PREC_AUTOCAST);
    o.local_batch = 1 + draw(seed, 2);
    o.nmicrobatches = draw(seed, 2) ? 1 : 3;
    o.overlap = draw(seed, 2);
    o.whole_logits = draw(seed, 3) == 0;
    o.step_in_backward = draw(seed, 3) == 0;
    o.give_back = (enum tt_give_back)draw(seed, 3);
    o.keep = (struct tt_keep){ .kind = (enum tt_keep_kind)draw(seed, 5), .every = draw(seed, 3), .remade = remade };
    o.keep.nremade = (size_t)draw(seed, 3);
    o.keep_budget = draw(seed, 21) / 20.0;
    return o;
}

static void say(char *what, size_t n, const struct layout *l, const struct tt_step_opts *o)
{
    snprintf(what, n,
             "shards %d, replicas %d, tp %d, layers %d, vocabulary %d, multiple_of %d, %s, precision %d, batch %d, microbatches "
             "%d, overlap "
             "%d, whole logits %d, early step %d, give back %d, keep %d (every %d, %zu, %g)",
             l->shards, l->replicas, l->tp, (int)o->args->n_layers, (int)o->args->vocab_size, (int)o->args->multiple_of,
             tt_dtype_name(o->param_dtype), (int)o->prec, (int)o->local_batch, o->nmicrobatches, o->overlap, o->whole_logits,
             o->step_in_backward, (int)o->give_back, (int)o->keep.kind, (int)o->keep.every, o->keep.nremade, o->keep_budget);
}

/* A rank's training and validation; lists: its collectives, by queue. */
static void check_rank(struct tt_buf *lists, const struct tt_step_opts *opts, const char *what)
{
    struct tt_step *train = make(opts);
    struct tt_step_opts own = *opts;

    own.local_batch = 2;
    own.seq_len = 12;
    own.nmicrobatches = 1;
    own.step_in_backward = false;
    own.eval_of = train;
    struct tt_step *eval = make(&own);
    check_memory(train, what);
    check_memory(eval, what);
    for (int q = 0; q < NQUEUES; q++)
        list_queue(&lists[q], tt_step_plan(train), queues[q]);
    tt_step_free(eval);
    tt_step_free(train);
}

static void check_same(const struct tt_buf *a, const struct tt_buf *b, enum tt_queue queue, const char *what)
{
    if (a->len != b->len || (a->len > 0 && memcmp(a->data, b->data, a->len) != 0))
        fail_msg("%s: the collectives of two ranks differ: %s", tt_queue_name(queue), what);
}

static void check_layout(struct tt_step_opts opts, const struct layout *l, const char *what)
{
    static struct tt_buf lists[NSHARDS_MAX][NTP_MAX][NQUEUES];

    opts.group[TT_Q_REPLICATE] = (struct tt_group){ l->replicas, 0 };
    for (int s = 0; s < l->shards; s++)
        for (int r = 0; r < l->tp; r++) {
            opts.group[TT_Q_TP] = (struct tt_group){ l->tp, r };
            opts.group[TT_Q_GATHER] = opts.group[TT_Q_REDUCE] = (struct tt_group){ l->shards, s };
            check_rank(lists[s][r], &opts, what);
        }
    for (int s = 0; s < l->shards; s++)
        for (int r = 0; r < l->tp; r++)
            for (int q = 0; q < NQUEUES; q++)
                check_same(&lists[s][r][q], queues[q] == TT_Q_TP ? &lists[s][0][q] : &lists[0][r][q], queues[q], what);
    for (int s = 0; s < l->shards; s++)
        for (int r = 0; r < l->tp; r++)
            for (int q = 0; q < NQUEUES; q++)
                tt_buf_release(&lists[s][r][q]);
}

static void test_no_plan_loses_a_value_or_disturbs_a_collective(void **state)
{
    unsigned seed = 1;
    char what[500];

    (void)state;
    for (int i = 0; i < NCASES; i++) {
        const struct layout l = draw_layout(&seed);
        const struct tt_model_args args = draw_model(&seed, l.tp);
        struct tt_step_opts opts = draw_opts(&seed, &l);
        opts.args = &args;
        say(what, sizeof what, &l, &opts);
        check_layout(opts, &l, what);
    }
}

/* --- overlap ---------------------------------------------------------------------------------------------------------------- */

/* Weight gradients that are put off keep alive what they read: in vain where there is no wait to fill. */
static void test_a_rank_that_is_alone_puts_nothing_off(void **state)
{
    struct tt_step_opts opts = { .family = tt_family_find("llama3"), .args = &small, .local_batch = 1, .seq_len = 24,
                                 .nmicrobatches = 2, .plan_only = true, .keep = { .kind = TT_KEEP_LAYER_INPUTS } };

    (void)state;
    for (int shards = 1; shards <= 2; shards++) {
        opts.group[TT_Q_GATHER] = opts.group[TT_Q_REDUCE] = (struct tt_group){ shards, 0 };
        opts.overlap = false;
        struct tt_step *plain = make(&opts);
        opts.overlap = true;
        struct tt_step *overlapped = make(&opts);
        assert_int_equal(tt_step_cost(overlapped)->arena, tt_step_cost(plain)->arena);
        tt_step_free(plain);
        tt_step_free(overlapped);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_plan_loses_a_value_or_disturbs_a_collective),
        cmocka_unit_test(test_a_rank_that_is_alone_puts_nothing_off),
        cmocka_unit_test(test_ranks_of_a_group_make_the_same_again_whatever_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
