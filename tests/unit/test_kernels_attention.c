/* Attention: every instruction set against the reference, at shapes that fit no block. */
#include "test_kernels.h"

struct shape {
    int64_t batch, tq, tk, heads, kv_heads, dim, dim_v;
    bool causal, docs;
    int64_t q_start; /* where the first query sits */
    enum tt_dtype dtype;
    int64_t gap; /* elements between the rows of one token and the next */
};

static const struct shape shapes[] = {
    { 1, 1, 1, 1, 1, 1, 1, true, false, 0, TT_F32, 0 },        { 2, 31, 31, 2, 1, 16, 16, true, false, 0, TT_F32, 0 },
    { 1, 33, 33, 4, 2, 16, 16, true, false, 0, TT_BF16, 5 },   { 1, 65, 65, 2, 2, 33, 33, true, false, 0, TT_F32, 3 },
    { 2, 129, 129, 3, 1, 48, 48, false, false, 0, TT_F32, 0 }, { 1, 70, 70, 2, 1, 20, 20, true, true, 0, TT_F32, 0 },
    { 2, 150, 150, 2, 1, 16, 16, true, true, 0, TT_BF16, 1 },  { 1, 40, 100, 2, 1, 24, 40, true, false, 60, TT_F32, 0 },
    { 1, 40, 100, 2, 1, 24, 8, true, false, -10, TT_F32, 0 }, /* the first ten queries see nothing */
    { 2, 1, 77, 4, 2, 16, 16, true, false, 50, TT_F32, 3 },   /* one query before the last key: what is behind it is not read */
    { 1, 4, 200, 6, 2, 33, 20, true, true, 190, TT_BF16, 1 },  { 2, 3, 9, 2, 1, 128, 256, true, false, -1, TT_F32, 0 },
    { 1, 2, 130, 1, 1, 40, 40, false, true, 0, TT_F32, 0 },    { 1, 20, 37, 1, 1, 128, 128, false, true, 0, TT_F32, 0 },
    { 1, 9, 9, 1, 1, 256, 256, true, false, 0, TT_BF16, 0 },
};

/* Every operand of a forward and a backward. */
struct set {
    struct array q, k, v, o, dout, dq, dk, dv, lse, q_pos, q_doc, k_doc;
    int64_t q_stride, k_stride, v_stride, o_stride;
    struct tt_attn at;
};

static struct array doc_ids(int64_t batch, int64_t t, int64_t every)
{
    struct array ids = array_new(TT_I32, batch * t);
    for (int64_t i = 0; i < ids.n; i++)
        array_i32(&ids)[i] = (int32_t)(i % t / every);
    return ids;
}

static struct array zeros(enum tt_dtype dtype, int64_t n)
{
    struct array a = array_new(dtype, n);
    memset(array_data(&a), 0, array_bytes(&a));
    return a;
}

static struct set set_new(const struct shape *s)
{
    struct set x = { .q_stride = s->heads * s->dim + s->gap, .k_stride = s->kv_heads * s->dim + s->gap,
                     .v_stride = s->kv_heads * s->dim_v + s->gap, .o_stride = s->heads * s->dim_v + s->gap };
    x.q = array_random(s->dtype, s->batch * s->tq * x.q_stride, 1);
    x.k = array_random(s->dtype, s->batch * s->tk * x.k_stride, 2);
    x.v = array_random(s->dtype, s->batch * s->tk * x.v_stride, 3);
    x.dout = array_random(s->dtype, s->batch * s->tq * x.o_stride, 4);
    x.o = zeros(s->dtype, x.dout.n);
    x.dq = zeros(s->dtype, x.q.n);
    x.dk = zeros(s->dtype, x.k.n);
    x.dv = zeros(s->dtype, x.v.n);
    x.lse = array_new(TT_F32, s->batch * s->heads * s->tq);
    x.q_pos = array_new(TT_I32, s->batch * s->tq);
    for (int64_t i = 0; i < x.q_pos.n; i++)
        array_i32(&x.q_pos)[i] = (int32_t)(s->q_start + i % s->tq);
    x.q_doc = doc_ids(s->batch, s->tq, 23);
    x.k_doc = doc_ids(s->batch, s->tk, 23);
    x.at = (struct tt_attn){ .batch = s->batch,
                             .tq = s->tq,
                             .tk = s->tk,
                             .heads = s->heads,
                             .kv_heads = s->kv_heads,
                             .dim = s->dim,
                             .dim_v = s->dim_v,
                             .scale = 1 / sqrtf((float)s->dim),
                             .mask = { .causal = s->causal, .q_pos = s->q_start ? array_i32(&x.q_pos) : NULL } };
    if (s->docs) {
        x.at.mask.q_doc = array_i32(&x.q_doc);
        x.at.mask.k_doc = array_i32(&x.k_doc);
    }
    return x;
}

static void set_free(struct set *x)
{
    struct array *const all[] = { &x->q,  &x->k,  &x->v,   &x->o,     &x->dout,  &x->dq,
                                  &x->dk, &x->dv, &x->lse, &x->q_pos, &x->q_doc, &x->k_doc };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        array_free(all[i]);
}

static void run(const struct tt_kernels *kernels, struct tt_pool *pool, int nthreads, struct set *x, const struct set *saved)
{
    const size_t fwd_bytes = tt_attn_fwd_scratch(&x->at, nthreads), bwd_bytes = tt_attn_bwd_scratch(&x->at, nthreads);
    void *scratch = scratch_new(fwd_bytes > bwd_bytes ? fwd_bytes : bwd_bytes);

    kernels->attn_fwd(pool, &(struct tt_attn_fwd){ .at = x->at, .q = array_in(&x->q), .k = array_in(&x->k), .v = array_in(&x->v),
        .q_stride = x->q_stride, .k_stride = x->k_stride, .v_stride = x->v_stride, .o = array_out(&x->o), .o_stride = x->o_stride,
        .lse = array_f32(&x->lse), .scratch = scratch });
    kernels->attn_bwd(pool, &(struct tt_attn_bwd){ .at = x->at, .q = array_in(&x->q), .k = array_in(&x->k), .v = array_in(&x->v),
        .o = array_in(&saved->o), .dout = array_in(&x->dout), .lse = array_f32(&saved->lse), .q_stride = x->q_stride,
        .k_stride = x->k_stride, .v_stride = x->v_stride, .o_stride = x->o_stride, .dout_stride = x->o_stride,
        .dq = array_out(&x->dq), .dk = array_out(&x->dk), .dv = array_out(&x->dv), .dq_stride = x->q_stride,
        .dk_stride = x->k_stride, .dv_stride = x->v_stride, .scratch = scratch });
    free(scratch);
}

static void check_lse(const struct array *got, const struct array *want)
{
    check_guards(got, "lse");
    for (int64_t i = 0; i < want->n; i++) {
        const float g = array_f32(got)[i], w = array_f32(want)[i];
        assert_true(w == -INFINITY ? g == w : fabsf(g - w) <= 0x1p-20f * (1 + fabsf(w)));
    }
}

static void check_attention(const struct tt_kernels *kernels, struct tt_pool *pool, int nthreads)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct set got = set_new(&shapes[i]), want = set_new(&shapes[i]);
        char what[64];
        run(&tt_kernels_ref, NULL, 1, &want, &want);
        run(kernels, pool, nthreads, &got, &want);
        snprintf(what, sizeof what, "%s, shape %zu", kernels->name, i);
        check_close(&got.o, &want.o, 1, what);
        check_lse(&got.lse, &want.lse);
        check_close(&got.dq, &want.dq, 1, what);
        check_close(&got.dk, &want.dk, 1, what);
        check_close(&got.dv, &want.dv, 1, what);
        set_free(&got);
        set_free(&want);
    }
}

static void test_attention_agrees_with_its_definition(void **state)
{
    (void)state;
    each_cpu(check_attention);
}

static void test_attention_does_not_depend_on_the_number_of_threads(void **state)
{
    (void)state;
    struct set one = set_new(&shapes[6]), five = set_new(&shapes[6]);
    struct tt_pool *pool;
    assert_int_equal(tt_pool_new(&pool, 5, NULL), TT_OK);
    run(tt_kernels_cpu(), NULL, 1, &one, &one);
    run(tt_kernels_cpu(), pool, 5, &five, &five);
    assert_memory_equal(array_data(&one.o), array_data(&five.o), array_bytes(&one.o));
    assert_memory_equal(array_data(&one.dq), array_data(&five.dq), array_bytes(&one.dq));
    assert_memory_equal(array_data(&one.dk), array_data(&five.dk), array_bytes(&one.dk));
    assert_memory_equal(array_data(&one.dv), array_data(&five.dv), array_bytes(&one.dv));
    tt_pool_free(pool);
    set_free(&one);
    set_free(&five);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention_agrees_with_its_definition),
        cmocka_unit_test(test_attention_does_not_depend_on_the_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
