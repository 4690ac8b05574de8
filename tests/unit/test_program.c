/* Small programs through the whole core: every operation's gradients against finite differences, what is recorded, what the
 * plan does with memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "program/plan.h"
#include "program/record.h"

enum { B = 2, T = 7, D = 8, V = 11, NPARAMS = 9 };

/* A table of parameters to build programs of. */
static const struct tt_param_row rows[NPARAMS] = {
    { .key = "table", .shape = { TT_SIZE_VOCAB, TT_SIZE_DIM } }, { .key = "a", .shape = { TT_SIZE_DIM, TT_SIZE_DIM } },
    { .key = "b", .shape = { TT_SIZE_DIM, TT_SIZE_DIM } },       { .key = "c", .shape = { TT_SIZE_DIM, TT_SIZE_DIM } },
    { .key = "half", .shape = { TT_SIZE_KV, TT_SIZE_DIM } },     { .key = "half2", .shape = { TT_SIZE_KV, TT_SIZE_DIM } },
    { .key = "norm", .shape = { TT_SIZE_DIM } },                 { .key = "out", .shape = { TT_SIZE_VOCAB, TT_SIZE_DIM } },
    { .key = "norm2", .shape = { TT_SIZE_DIM } },
};

struct world {
    struct tt_param param[NPARAMS];
    struct tt_params params;
    struct tt_program *prog;
    struct tt_sched sched;
    struct tt_device *device;
    struct tt_plan *plan;
};

typedef tt_val body(struct tt_rec *rec, tt_val x); /* from the embedding's rows to what the output layer reads */

static void begin(struct world *w, struct tt_rec *rec, enum tt_prec prec)
{
    struct tt_err err;

    memset(w, 0, sizeof *w);
    for (int i = 0; i < NPARAMS; i++) {
        struct tt_param *p = &w->param[i];
        *p = (struct tt_param){ .row = &rows[i], .fqn = rows[i].key, .layer = -1, .numel = 1 };
        for (; p->ndim < 2 && rows[i].shape[p->ndim] != TT_SIZE_NONE; p->ndim++) {
            p->size[p->ndim] = rows[i].shape[p->ndim] == TT_SIZE_VOCAB ? V : rows[i].shape[p->ndim] == TT_SIZE_KV ? D / 2 : D;
            p->numel *= p->size[p->ndim];
        }
    }
    w->params = (struct tt_params){ .p = w->param, .n = NPARAMS, .nunits = 1 };
    const struct tt_rec_opts opts = {
        .params = &w->params,
        .prec = prec,
        .param_dtype = prec == TT_PREC_PARAM_F32 ? TT_BF16 : TT_F32,
        .batch = B,
        .seq_len = T,
    };
    assert_int_equal(tt_rec_begin(rec, &opts, &err), TT_OK);
}

static void record(struct world *w, body *f, enum tt_prec prec)
{
    struct tt_rec rec;
    struct tt_err err;

    begin(w, &rec, prec);
    const tt_val x = tt_rec_embedding(&rec, tt_rec_param(&rec, "table"), tt_rec_input(&rec, TT_IN_TOKENS));
    const tt_val y = f(&rec, x);
    tt_rec_cross_entropy(&rec, tt_rec_linear(&rec, y, tt_rec_param(&rec, "out")), tt_rec_input(&rec, TT_IN_LABELS));
    assert_int_equal(tt_rec_finish(&rec, &w->prog, &err), TT_OK);
}

static void end(struct world *w)
{
    tt_plan_free(w->plan);
    tt_device_free(w->device);
    tt_sched_release(&w->sched);
    tt_program_free(w->prog);
}

static void bind(struct world *w, struct tt_device *device, int nmb, const char *schedule)
{
    struct tt_err err;

    assert_int_equal(tt_sched_make(&w->sched, schedule, 1, 1, nmb, &err), TT_OK);
    assert_int_equal(tt_sched_lower(&w->sched, &err), TT_OK);
    const struct tt_plan_opts opts = { .model = w->prog, .sched = &w->sched, .params = &w->params, .device = device };
    assert_int_equal(tt_plan_new(&w->plan, &opts, &err), TT_OK);
    assert_int_equal(tt_plan_bind(w->plan, &err), TT_OK);
}

static float uniform(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) / (float)(1 << 23) - 1;
}

static void fill(struct world *w, int nmb)
{
    unsigned seed = 5;

    for (int i = 0; i < NPARAMS; i++) {
        float *p = tt_plan_param(w->plan, i, TT_ROLE_SHARD);
        for (int64_t j = 0; p && j < w->param[i].numel; j++)
            p[j] = w->param[i].ndim == 1 ? 1 + 0.3f * uniform(&seed) : uniform(&seed);
    }
    for (int mb = 0; mb < nmb; mb++)
        for (int i = 0; i < B * T; i++) {
            int32_t *positions = tt_plan_input(w->plan, TT_IN_POSITIONS, mb);
            int32_t *documents = tt_plan_input(w->plan, TT_IN_DOCUMENTS, mb);
            ((int32_t *)tt_plan_input(w->plan, TT_IN_TOKENS, mb))[i] = (i * 5 + mb) % V;
            ((int32_t *)tt_plan_input(w->plan, TT_IN_LABELS, mb))[i] = i % 6 == 5 ? TT_IGNORE_INDEX : (i * 3 + mb) % V;
            if (positions)
                positions[i] = (i * 2) % T;
            if (documents)
                documents[i] = i % T / 4;
        }
    float *rope = tt_plan_const(w->plan, TT_CONST_ROPE);
    const struct tt_rope_scaling none = { 1, 1, 4, 8192 };
    if (rope)
        tt_rope_table(rope, D / 2, T, 100, &none);
    tt_plan_scalars(w->plan)->inv_tokens = 0.1f;
}

static double run(struct world *w, int nmb)
{
    struct tt_err err = { 0 };
    double loss = 0;

    assert_int_equal(tt_plan_run(w->plan, &err), TT_OK);
    for (int mb = 0; mb < nmb; mb++)
        loss += (double)tt_plan_losses(w->plan)[mb];
    return loss;
}

/* --- gradients of every operation ------------------------------------------------------------------------------------------- */

static tt_val none(struct tt_rec *rec, tt_val x)
{
    (void)rec;
    return x;
}

static tt_val linear(struct tt_rec *rec, tt_val x)
{
    return tt_rec_linear(rec, tt_rec_linear(rec, x, tt_rec_param(rec, "a")), tt_rec_param(rec, "b"));
}

static tt_val same_weight_twice(struct tt_rec *rec, tt_val x)
{
    return tt_rec_linear(rec, tt_rec_linear(rec, x, tt_rec_param(rec, "a")), tt_rec_param(rec, "a"));
}

static tt_val rmsnorm(struct tt_rec *rec, tt_val x)
{
    return tt_rec_rmsnorm(rec, x, tt_rec_param(rec, "norm"), 1e-3);
}

static tt_val rope(struct tt_rec *rec, tt_val x)
{
    return tt_rec_rope(rec, tt_rec_linear(rec, x, tt_rec_param(rec, "a")), tt_rec_input(rec, TT_IN_POSITIONS), 2);
}

static tt_val swiglu(struct tt_rec *rec, tt_val x)
{
    return tt_rec_swiglu(rec, tt_rec_linear(rec, x, tt_rec_param(rec, "a")), tt_rec_linear(rec, x, tt_rec_param(rec, "b")));
}

static tt_val add(struct tt_rec *rec, tt_val x)
{
    const tt_val y = tt_rec_linear(rec, x, tt_rec_param(rec, "a"));
    return tt_rec_add(rec, tt_rec_add(rec, x, y), tt_rec_add(rec, y, y));
}

static tt_val attend(struct tt_rec *rec, tt_val x, bool causal, bool documents)
{
    const struct tt_mask mask = { .causal = causal,
                                  .positions = TT_NO_VAL,
                                  .documents = documents ? tt_rec_input(rec, TT_IN_DOCUMENTS) : TT_NO_VAL };
    const tt_val q = tt_rec_linear(rec, x, tt_rec_param(rec, "a"));
    const tt_val k = tt_rec_linear(rec, x, tt_rec_param(rec, "half")), v = tt_rec_linear(rec, x, tt_rec_param(rec, "half2"));
    return tt_rec_attention(rec, q, k, v, 4, 2, &mask);
}

static tt_val attention_causal(struct tt_rec *rec, tt_val x)
{
    return attend(rec, x, true, false);
}

static tt_val attention_documents(struct tt_rec *rec, tt_val x)
{
    return attend(rec, x, true, true);
}

static tt_val attention_all(struct tt_rec *rec, tt_val x)
{
    return attend(rec, x, false, false);
}

static tt_val block(struct tt_rec *rec, tt_val x)
{
    tt_rec_layer(rec, 0);
    x = tt_rec_add(rec, x, attend(rec, tt_rec_rmsnorm(rec, x, tt_rec_param(rec, "norm"), 1e-5), true, false));
    const tt_val h = tt_rec_rmsnorm(rec, x, tt_rec_param(rec, "norm2"), 1e-5);
    const tt_val gate = tt_rec_linear(rec, h, tt_rec_param(rec, "b")), up = tt_rec_linear(rec, h, tt_rec_param(rec, "c"));
    x = tt_rec_add(rec, x, tt_rec_swiglu(rec, gate, up));
    tt_rec_layer(rec, -1);
    return x;
}

static const struct {
    const char *name;
    body *f;
} bodies[] = {
    { "embedding, loss", none }, { "linear", linear }, { "the same weight twice", same_weight_twice }, { "rmsnorm", rmsnorm },
    { "rope", rope }, { "swiglu", swiglu }, { "add", add }, { "attention, causal", attention_causal },
    { "attention, documents", attention_documents }, { "attention, no mask", attention_all }, { "block", block },
};

/* Along a random direction of one parameter: (L(p + e d) - L(p - e d)) / 2e = <grad, d>. The loss is a float32 of about 3, so the
 * quotient knows 3 * 2^-24 / 0.01 = 2e-5; its third derivative costs as much again. */
static void check_direction(struct world *w, int param, const char *name)
{
    enum { MAX = 128 };
    static const double e = 5e-3;
    float *p = tt_plan_param(w->plan, param, TT_ROLE_SHARD), *grad = tt_plan_param(w->plan, param, TT_ROLE_GRAD);
    const int64_t n = w->param[param].numel;
    float before[MAX], direction[MAX];
    double expected = 0, length = 0;
    unsigned seed = 77u + (unsigned)param;

    assert_true(n <= MAX);
    run(w, 2);
    for (int64_t i = 0; i < n; i++) {
        before[i] = p[i];
        direction[i] = uniform(&seed);
        expected += (double)grad[i] * (double)direction[i];
        length += (double)grad[i] * (double)grad[i];
    }
    double loss[2];
    for (int sign = 0; sign < 2; sign++) {
        for (int64_t i = 0; i < n; i++)
            p[i] = before[i] + (float)((sign ? -e : e) * (double)direction[i]);
        loss[sign] = run(w, 2);
    }
    memcpy(p, before, (size_t)n * sizeof *p);
    const double found = (loss[0] - loss[1]) / (2 * e), diff = fabs(found - expected);
    if (!(diff <= 1e-3 * (1 + sqrt(length))))
        fail_msg("%s: gradient of %s: expected %g, found %g", name, w->param[param].fqn, expected, found);
}

static void test_gradients_are_those_of_finite_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct world w;
        struct tt_err err;
        int checked = 0;
        record(&w, bodies[i].f, TT_PREC_F32);
        assert_int_equal(tt_program_differentiate(w.prog, &err), TT_OK);
        assert_int_equal(tt_device_cpu(&w.device, NULL, &tt_kernels_ref, &err), TT_OK);
        bind(&w, w.device, 2, "1F1B");
        fill(&w, 2);
        for (int p = 0; p < NPARAMS; p++)
            if (tt_plan_param(w.plan, p, TT_ROLE_GRAD)) {
                check_direction(&w, p, bodies[i].name);
                checked++;
            }
        assert_true(checked >= 2);
        end(&w);
    }
}

/* --- what is recorded ------------------------------------------------------------------------------------------------------- */

static int count(const struct tt_program *prog, enum tt_opkind kind, int phase)
{
    int n = 0;
    for (int i = 0; i < prog->nops; i++)
        n += tt_op_kind(&prog->op[i]) == kind && (phase == 0 || (int)prog->op[i].phase == phase);
    return n;
}

static void test_autocast_casts_weights_once_and_folds_into_the_norm(void **state)
{
    struct world w;
    struct tt_err err;

    (void)state;
    record(&w, block, TT_PREC_AUTOCAST);
    assert_int_equal(tt_program_differentiate(w.prog, &err), TT_OK);
    assert_int_equal(count(w.prog, TT_OP_CAST, TT_U), 6); /* a, half, half2, b, c, out: each a copy, made when it is gathered */
    assert_int_equal(count(w.prog, TT_OP_CAST, TT_F), 1); /* of the residual that the output layer reads; none for the norms */
    for (int i = 0; i < w.prog->nops; i++) {
        const struct tt_op *op = &w.prog->op[i];
        const struct tt_valdesc *out = &w.prog->val[op->out[0]];
        if (op->phase != TT_F)
            continue;
        if (tt_op_kind(op) == TT_OP_ADD || tt_op_kind(op) == TT_OP_EMBEDDING)
            assert_int_equal(out->dtype, TT_F32); /* the residual */
        if (tt_op_kind(op) == TT_OP_LINEAR || tt_op_kind(op) == TT_OP_RMSNORM || tt_op_kind(op) == TT_OP_ATTENTION)
            assert_int_equal(out->dtype, TT_BF16);
        if (tt_op_kind(op) == TT_OP_RMSNORM)
            assert_int_equal(out->grad_dtype, TT_F32); /* its readers' gradients are summed in float32 */
    }
    end(&w);
}

static void test_input_and_weight_gradients_are_apart(void **state)
{
    struct world w;
    struct tt_err err;

    (void)state;
    record(&w, block, TT_PREC_F32);
    assert_int_equal(tt_program_differentiate(w.prog, &err), TT_OK);
    assert_int_equal(count(w.prog, TT_OP_LINEAR_W, TT_W), 6);
    assert_int_equal(count(w.prog, TT_OP_LINEAR_I, TT_I), 6);
    for (int i = 0; i < w.prog->nops; i++) { /* no input gradient reads what only a weight gradient makes */
        const struct tt_op *op = &w.prog->op[i];
        for (int j = 0; op->phase == TT_I && j < op->nin; j++)
            if (op->in[j] != TT_NO_VAL && w.prog->val[op->in[j]].op >= 0)
                assert_int_not_equal(w.prog->op[w.prog->val[op->in[j]].op].phase, TT_W);
    }
    end(&w);
}

static tt_val something_unread(struct tt_rec *rec, tt_val x)
{
    tt_rec_swiglu(rec, x, tt_rec_linear(rec, x, tt_rec_param(rec, "a")));
    return x;
}

static void test_what_nobody_reads_is_dropped(void **state)
{
    struct world w;

    (void)state;
    record(&w, something_unread, TT_PREC_F32);
    assert_int_equal(w.prog->nops, 3); /* embedding, output, loss */
    end(&w);
}

static void test_cheap_results_are_made_again(void **state)
{
    struct world w;
    struct tt_err err;

    (void)state;
    record(&w, block, TT_PREC_F32);
    tt_program_keep(w.prog, &(struct tt_keep){ .kind = TT_KEEP_DEAR });
    assert_int_equal(tt_program_differentiate(w.prog, &err), TT_OK);
    assert_int_equal(count(w.prog, TT_OP_RMSNORM, TT_F), 2);
    assert_int_equal(count(w.prog, TT_OP_RMSNORM, TT_I), 2);
    assert_int_equal(count(w.prog, TT_OP_SWIGLU, TT_I), 0); /* nobody in the backward reads this one */
    assert_int_equal(count(w.prog, TT_OP_ATTENTION, TT_I), 0);
    end(&w);
}

/* --- memory: a device that computes nothing but knows what every value's bytes should be ------------------------------------ */

enum { MARKS_MAX = 4096 };

struct marker {
    struct tt_device device;
    uint32_t next, nlaunched;
    struct {
        tt_val v;
        const void *p;
        uint32_t mark;
    } marks[MARKS_MAX];
    int nmarks;
};

static tt_status marker_alloc(struct tt_device *device, uint64_t nbytes, void **out, struct tt_err *err)
{
    (void)device;
    (void)err;
    *out = aligned_alloc(64, (nbytes + 63) / 64 * 64);
    memset(*out, 0, (nbytes + 63) / 64 * 64);
    return TT_OK;
}

static void marker_dealloc(struct tt_device *device, void *p, uint64_t nbytes)
{
    (void)device;
    (void)nbytes;
    free(p);
}

static uint64_t marker_scratch(struct tt_device *device, const struct tt_op *op, const struct tt_valdesc *val)
{
    (void)device;
    (void)op;
    (void)val;
    return 100;
}

static uint32_t *find_mark(struct marker *m, tt_val v, const void *p)
{
    for (int i = 0; i < m->nmarks; i++)
        if (m->marks[i].v == v && m->marks[i].p == p)
            return &m->marks[i].mark;
    assert_true(m->nmarks < MARKS_MAX);
    m->marks[m->nmarks].v = v;
    m->marks[m->nmarks].p = p;
    return &m->marks[m->nmarks++].mark;
}

/* What lies in the arena, or may: a copy or a gradient of a parameter is one value, whichever program names it. */
static bool is_marked(const struct tt_valdesc *d)
{
    return d->cls == TT_ACT || (d->cls == TT_PARAM && (d->role == TT_ROLE_FULL || d->role == TT_ROLE_GRAD));
}

static tt_val name_of(const struct tt_valdesc *d, tt_val v)
{
    enum { PARAMS = 1 << 20 };
    return d->cls == TT_PARAM ? PARAMS + (tt_val)d->ref * TT_NROLES + d->role : v;
}

static void check_marks(const uint32_t *p, uint64_t nbytes, uint32_t mark, const char *op)
{
    for (uint64_t i = 0; i < nbytes / 4; i++)
        if (p[i] != mark)
            fail_msg("%s: found another value's bytes in its input", op);
}

/* Inputs must still have the bytes that were written for them; results get bytes of their own. */
static tt_status marker_launch(struct tt_device *device, const struct tt_call *call, struct tt_event *done, struct tt_err *err)
{
    struct marker *m = (struct marker *)device;
    const struct tt_op *op = call->op;

    (void)done;
    (void)err;
    m->nlaunched++;
    if (call->scratch)
        memset(call->scratch, 0xee, 100);
    for (int i = 0; i < op->nin; i++) {
        const struct tt_valdesc *d = op->in[i] == TT_NO_VAL ? NULL : &call->val[op->in[i]];
        if (d && is_marked(d))
            check_marks(call->in[i], tt_val_nbytes(d), *find_mark(m, name_of(d, op->in[i]), call->in[i]), op->def->name);
    }
    for (int o = 0; o < op->nout; o++) {
        const struct tt_valdesc *d = op->out[o] == TT_NO_VAL ? NULL : &call->val[op->out[o]];
        if (!d || !is_marked(d) || !call->out[o])
            continue;
        uint32_t *p = call->out[o];
        const uint32_t mark = ++m->next;
        for (uint64_t i = 0; i < tt_val_nbytes(d) / 4; i++)
            p[i] = mark;
        *find_mark(m, name_of(d, op->out[o]), p) = mark;
    }
    return TT_OK;
}

static tt_status marker_sync(struct tt_device *device, struct tt_err *err)
{
    (void)device;
    (void)err;
    return TT_OK;
}

static const struct tt_device_ops marker_ops = {
    .alloc = marker_alloc, .dealloc = marker_dealloc, .scratch = marker_scratch, .launch = marker_launch, .sync = marker_sync,
};

/* Every backward as I, and all W at the end: what zero-bubble schedules do. */
static void split_backwards(struct tt_sched *sched, int nmb)
{
    struct tt_action *a = calloc((size_t)sched->n[0] + (size_t)nmb, sizeof *a);
    int n = 0;

    for (int i = 0; i < sched->n[0]; i++) {
        struct tt_action now = sched->rank[0][i];
        for (int mb = 0; now.act == TT_A_REDUCE_GRAD && mb < nmb; mb++)
            a[n++] = (struct tt_action){ .act = TT_A_W, .mb = (int16_t)mb };
        now.act = now.act == TT_A_B ? TT_A_I : now.act;
        a[n++] = now;
    }
    free(sched->rank[0]);
    sched->rank[0] = a;
    sched->n[0] = n;
}

static void check_memory(body *f, enum tt_prec prec, const struct tt_keep *keep, const char *schedule, int nmb, bool split)
{
    struct tt_program *step;
    struct marker marker = { .device = { .name = "marker", .ops = &marker_ops } };
    struct tt_keep how = *keep;
    struct world w;
    struct tt_err err = { 0 };
    int *dearest, n;

    record(&w, f, prec);
    assert_int_equal(tt_program_dearest(&dearest, &n, w.prog, &err), TT_OK);
    how.dearest = dearest;
    how.nmost = n < 3 ? n : 3;
    tt_program_keep(w.prog, &how);
    free(dearest);
    assert_int_equal(tt_program_differentiate(w.prog, &err), TT_OK);
    assert_int_equal(tt_program_record_step(&step, &w.params, w.prog->param_dtype, NULL, &err), TT_OK);
    assert_int_equal(tt_sched_make(&w.sched, schedule, 1, 1, nmb, &err), TT_OK);
    assert_int_equal(tt_sched_lower(&w.sched, &err), TT_OK);
    if (split)
        split_backwards(&w.sched, nmb);
    assert_int_equal(tt_sched_check(&w.sched, &err), TT_OK);
    const struct tt_plan_opts opts = {
        .model = w.prog, .step = step, .sched = &w.sched, .params = &w.params, .device = &marker.device,
    };
    assert_int_equal(tt_plan_new(&w.plan, &opts, &err), TT_OK);
    assert_int_equal(tt_plan_bind(w.plan, &err), TT_OK);
    assert_int_equal(tt_plan_run(w.plan, &err), TT_OK);
    assert_int_equal(tt_plan_run(w.plan, &err), TT_OK);
    assert_true(marker.next > 0);
    end(&w);
    tt_program_free(step);
}

static void test_live_values_never_share_memory(void **state)
{
    static const char *const a[] = { "a" };
    static const struct tt_keep keeps[] = { { .kind = TT_KEEP_DEAR },
                                            { .kind = TT_KEEP_ALL },
                                            { .kind = TT_KEEP_LAYER_INPUTS },
                                            { .kind = TT_KEEP_PRODUCTS, .remade = a, .nremade = 1 },
                                            { .kind = TT_KEEP_MOST } }; /* 3 results */

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        for (size_t keep = 0; keep < sizeof keeps / sizeof keeps[0]; keep++)
            for (int prec = TT_PREC_F32; prec < TT_NPRECS; prec++) {
                check_memory(bodies[i].f, (enum tt_prec)prec, &keeps[keep], "1F1B", 3, false);
                check_memory(bodies[i].f, (enum tt_prec)prec, &keeps[keep], "GPipe", 3, false);
                check_memory(bodies[i].f, (enum tt_prec)prec, &keeps[keep], "1F1B", 3, true);
                check_memory(bodies[i].f, (enum tt_prec)prec, &keeps[keep], "GPipe", 3, true);
                check_memory(bodies[i].f, (enum tt_prec)prec, &keeps[keep], "1F1B", 1, false);
                check_memory(bodies[i].f, (enum tt_prec)prec, &keeps[keep], "1F1B", 1, true);
            }
}

static struct tt_cost cost_of(enum tt_prec prec, enum tt_keep_kind kind, const char *schedule, int nmb)
{
    struct world w;
    struct tt_err err;

    record(&w, block, prec);
    tt_program_keep(w.prog, &(struct tt_keep){ .kind = kind });
    assert_int_equal(tt_program_differentiate(w.prog, &err), TT_OK);
    assert_int_equal(tt_device_cpu(&w.device, NULL, &tt_kernels_ref, &err), TT_OK);
    bind(&w, w.device, nmb, schedule);
    const struct tt_cost cost = *tt_plan_cost(w.plan);
    assert_true(cost.arena >= cost.live_max);
    end(&w);
    return cost;
}

static uint64_t arena_of(enum tt_keep_kind kind, const char *schedule, int nmb)
{
    return cost_of(TT_PREC_F32, kind, schedule, nmb).arena;
}

static void test_microbatches_one_after_another_share_a_slot(void **state)
{
    (void)state;
    assert_int_equal(arena_of(TT_KEEP_ALL, "1F1B", 2), arena_of(TT_KEEP_ALL, "1F1B", 9));
    assert_true(arena_of(TT_KEEP_ALL, "GPipe", 2) > arena_of(TT_KEEP_ALL, "1F1B", 2));
    assert_true(arena_of(TT_KEEP_DEAR, "1F1B", 1) < arena_of(TT_KEEP_ALL, "1F1B", 1));
}

static void test_gradients_and_copies_of_one_microbatch_take_the_room_that_activations_leave(void **state)
{
    const struct tt_cost one = cost_of(TT_PREC_AUTOCAST, TT_KEEP_DEAR, "1F1B", 1);
    const struct tt_cost two = cost_of(TT_PREC_AUTOCAST, TT_KEEP_DEAR, "1F1B", 2);

    (void)state;
    assert_int_equal(one.grads + one.copies, 0);
    assert_true(two.grads > 0 && two.copies > 0);
    assert_true(one.arena < two.arena + two.grads + two.copies);
}

/* Validation beside training: a plan without a backward, on the training plan's parameters. */
static void test_a_plan_without_a_backward_shares_the_parameters(void **state)
{
    struct world train, eval;
    struct tt_err err;

    (void)state;
    record(&train, block, TT_PREC_AUTOCAST);
    assert_int_equal(tt_program_differentiate(train.prog, &err), TT_OK);
    assert_int_equal(tt_device_cpu(&train.device, NULL, &tt_kernels_ref, &err), TT_OK);
    bind(&train, train.device, 2, "1F1B");
    fill(&train, 2);

    record(&eval, block, TT_PREC_AUTOCAST);
    assert_int_equal(tt_sched_make(&eval.sched, "1F1B", 1, 1, 2, &err), TT_OK);
    assert_int_equal(tt_sched_lower(&eval.sched, &err), TT_OK);
    const struct tt_plan_opts opts = {
        .model = eval.prog, .sched = &eval.sched, .params = &eval.params, .device = train.device, .share = train.plan,
    };
    assert_int_equal(tt_plan_new(&eval.plan, &opts, &err), TT_OK);
    assert_int_equal(tt_plan_bind(eval.plan, &err), TT_OK);
    for (int i = 0; i < NPARAMS; i++)
        if (tt_plan_param(eval.plan, i, TT_ROLE_SHARD))
            assert_ptr_equal(tt_plan_param(eval.plan, i, TT_ROLE_SHARD), tt_plan_param(train.plan, i, TT_ROLE_SHARD));
    const struct tt_cost *cost = tt_plan_cost(eval.plan);
    assert_int_equal(cost->grads + cost->params + cost->copies + cost->optim, 0);
    assert_int_equal(cost->arena, 0); /* it needs less than the training plan has */
    assert_true(cost->live_max > 0 && cost->live_max < tt_plan_cost(train.plan)->live_max);
    fill(&eval, 2);
    for (int i = 0; i < 2; i++)
        assert_float_equal(run(&eval, 2), run(&train, 2), 0);
    end(&eval);
    end(&train);
}

static void test_units_are_gathered_one_by_one(void **state)
{
    struct marker marker = { .device = { .name = "marker", .ops = &marker_ops } };
    struct world w;
    struct tt_err err = { 0 };

    (void)state;
    record(&w, linear, TT_PREC_AUTOCAST);
    assert_int_equal(tt_sched_make(&w.sched, "1F1B", 1, 1, 1, &err), TT_OK);
    assert_int_equal(tt_sched_lower(&w.sched, &err), TT_OK);
    w.sched.rank[0][0].unit = 3; /* the first action: UNSHARD of a unit that nobody is in */
    const struct tt_plan_opts opts = { .model = w.prog, .sched = &w.sched, .params = &w.params, .device = &marker.device };
    assert_int_equal(tt_plan_new(&w.plan, &opts, &err), TT_OK);
    const int without = tt_plan_nops(w.plan);
    tt_plan_free(w.plan);
    w.sched.rank[0][0].unit = 0;
    assert_int_equal(tt_plan_new(&w.plan, &opts, &err), TT_OK);
    assert_int_equal(tt_plan_bind(w.plan, &err), TT_OK);
    assert_int_equal(tt_plan_run(w.plan, &err), TT_OK);
    assert_int_equal((int)marker.nlaunched - without, 3); /* the copies of a, b and out */
    end(&w);
}

static void test_a_step_that_needs_other_ranks_is_refused(void **state)
{
    struct marker marker = { .device = { .name = "marker", .ops = &marker_ops } };
    struct world w;
    struct tt_err err;

    (void)state;
    record(&w, linear, TT_PREC_F32);
    assert_int_equal(tt_sched_make(&w.sched, "1F1B", 2, 2, 2, &err), TT_OK);
    assert_int_equal(tt_sched_lower(&w.sched, &err), TT_OK);
    const struct tt_plan_opts opts = { .model = w.prog, .sched = &w.sched, .params = &w.params, .device = &marker.device };
    assert_int_equal(tt_plan_new(&w.plan, &opts, &err), TT_EUNSUPPORTED);
    w.plan = NULL;
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_are_those_of_finite_differences),
        cmocka_unit_test(test_autocast_casts_weights_once_and_folds_into_the_norm),
        cmocka_unit_test(test_input_and_weight_gradients_are_apart),
        cmocka_unit_test(test_what_nobody_reads_is_dropped),
        cmocka_unit_test(test_cheap_results_are_made_again),
        cmocka_unit_test(test_live_values_never_share_memory),
        cmocka_unit_test(test_microbatches_one_after_another_share_a_slot),
        cmocka_unit_test(test_gradients_and_copies_of_one_microbatch_take_the_room_that_activations_leave),
        cmocka_unit_test(test_a_plan_without_a_backward_shares_the_parameters),
        cmocka_unit_test(test_units_are_gathered_one_by_one),
        cmocka_unit_test(test_a_step_that_needs_other_ranks_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
