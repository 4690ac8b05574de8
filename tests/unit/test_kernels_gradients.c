/* The reference's gradients against finite differences of its forward: L = sum of dy y, dL/dx[i] by a central difference. */
#include "test_kernels.h"

/* Central differences of float32 results with this step: h^2 of truncation and 2^-24 / h of rounding, both below LIMIT. */
static const float STEP = 0x1p-6f, LIMIT = 2e-3f;

static const struct tt_kernels *const ref = &tt_kernels_ref;

typedef void forward_fn(void *ctx); /* computes ctx's y again */

static double loss_of(const struct array *y, const struct array *dy)
{
    double sum = 0;
    for (int64_t i = 0; i < y->n; i++)
        sum += (double)array_get(y, i) * (double)array_get(dy, i);
    return sum;
}

static void check_gradient(struct array *x, const struct array *dx, const struct array *y, const struct array *dy,
                           forward_fn *forward, void *ctx, const char *what)
{
    float top = 0;
    for (int64_t i = 0; i < dx->n; i++)
        top = fmaxf(top, fabsf(array_get(dx, i)));
    assert_true(top > 0);
    for (int64_t i = 0; i < x->n; i++) {
        const float was = array_get(x, i);
        array_set(x, i, was + STEP);
        forward(ctx);
        const double up = loss_of(y, dy);
        array_set(x, i, was - STEP);
        forward(ctx);
        const double slope = (up - loss_of(y, dy)) / (2 * (double)STEP), got = (double)array_get(dx, i);
        array_set(x, i, was);
        if (!(isfinite(got) && fabs(got - slope) <= (double)(LIMIT * top)))
            fail_msg("%s: [%lld] is %.6g, the slope is %.6g", what, (long long)i, got, slope);
    }
}

static void rmsnorm_forward(void *ctx) { ref->rmsnorm_fwd(NULL, ctx); }

static void test_rmsnorm_gradients_are_slopes(void **state)
{
    (void)state;
    enum { N = 3, D = 7 };
    struct array x = array_random(TT_F32, N * D, 1), w = array_random(TT_F32, D, 2), dy = array_random(TT_F32, N * D, 3);
    struct array y = array_new(TT_F32, N * D), dx = array_copy(&y), dw = array_new(TT_F32, D), rstd = array_new(TT_F32, N);
    struct tt_rmsnorm_fwd fwd = { N, D, 1e-5f, array_in(&x), array_in(&w), array_out(&y), array_f32(&rstd) };
    ref->rmsnorm_fwd(NULL, &fwd);
    ref->rmsnorm_bwd_input(
        NULL, &(struct tt_rmsnorm_bwd_input){
                  N, D, array_in(&dy), array_in(&x), array_in(&w), { NULL, TT_F32 }, array_f32(&rstd), array_out(&dx) });
    ref->rmsnorm_bwd_weight(
        NULL, &(struct tt_rmsnorm_bwd_weight){ N, D, array_in(&dy), array_in(&x), array_f32(&rstd), array_out(&dw), NULL, NULL });
    fwd.rstd = NULL;
    check_gradient(&x, &dx, &y, &dy, rmsnorm_forward, &fwd, "rmsnorm dx");
    check_gradient(&w, &dw, &y, &dy, rmsnorm_forward, &fwd, "rmsnorm dw");
    array_free(&x), array_free(&w), array_free(&dy), array_free(&y), array_free(&dx), array_free(&dw), array_free(&rstd);
}

static void swiglu_forward(void *ctx) { ref->swiglu_fwd(NULL, ctx); }

static void test_swiglu_gradients_are_slopes(void **state)
{
    (void)state;
    enum { N = 33 };
    struct array a = array_random(TT_F32, N, 1), b = array_random(TT_F32, N, 2), dy = array_random(TT_F32, N, 3);
    struct array y = array_new(TT_F32, N), da = array_copy(&y), db = array_copy(&y);
    struct tt_swiglu_fwd fwd = { N, array_in(&a), array_in(&b), array_out(&y) };
    ref->swiglu_bwd(NULL, &(struct tt_swiglu_bwd){ N, array_in(&dy), array_in(&a), array_in(&b), array_out(&da), array_out(&db) });
    check_gradient(&a, &da, &y, &dy, swiglu_forward, &fwd, "swiglu da");
    check_gradient(&b, &db, &y, &dy, swiglu_forward, &fwd, "swiglu db");
    array_free(&a), array_free(&b), array_free(&dy), array_free(&y), array_free(&da), array_free(&db);
}

static void rope_forward(void *ctx) { ref->rope(NULL, ctx); }

static void test_the_gradient_of_a_rotation_is_the_rotation_back(void **state)
{
    (void)state;
    enum { B = 1, T = 3, H = 2, D = 6, N = B * T * H * D };
    static const struct tt_rope_scaling scaling = { 8, 1, 4, 8192 };
    struct array x = array_random(TT_F32, N, 1), dy = array_random(TT_F32, N, 2), table = array_new(TT_F32, T * D);
    struct array y = array_new(TT_F32, N), dx = array_copy(&y);
    tt_rope_table(array_f32(&table), D, T, 500000, &scaling);
    struct tt_rope fwd = { B, T, H, D, array_in(&x), H * D, array_out(&y), H * D, array_f32(&table), NULL, false };
    ref->rope(NULL, &(struct tt_rope){ B, T, H, D, array_in(&dy), H * D, array_out(&dx), H * D, array_f32(&table), NULL, true });
    check_gradient(&x, &dx, &y, &dy, rope_forward, &fwd, "rope dx");
    array_free(&x), array_free(&dy), array_free(&table), array_free(&y), array_free(&dx);
}

static void cross_entropy_forward(void *ctx) { ref->cross_entropy_fwd(NULL, ctx); }

static void test_the_gradient_of_cross_entropy_is_its_slope(void **state)
{
    (void)state;
    enum { N = 3, V = 9 };
    static int32_t labels[N] = { 4, TT_IGNORE_INDEX, 0 };
    const float scale = 0.5f;
    double rows[N];
    struct array z = array_random(TT_F32, N * V, 1), dz = array_new(TT_F32, N * V), lse = array_new(TT_F32, N);
    struct array loss = array_new(TT_F32, 1), one = array_new(TT_F32, 1);
    array_set(&one, 0, 1);
    struct tt_cross_entropy_fwd fwd = {
        .n = N,
        .vocab = V,
        .z = array_in(&z),
        .label = { labels, TT_I32 },
        .scale = &scale,
        .lse = array_f32(&lse),
        .loss = array_f32(&loss),
        .row_loss = rows,
    };
    ref->cross_entropy_fwd(NULL, &fwd);
    ref->cross_entropy_bwd(
        NULL, &(struct tt_cross_entropy_bwd){ N, V, array_in(&z), { labels, TT_I32 }, &scale, array_f32(&lse), array_out(&dz) });
    check_gradient(&z, &dz, &loss, &one, cross_entropy_forward, &fwd, "cross entropy dz");
    array_free(&z), array_free(&dz), array_free(&lse), array_free(&loss), array_free(&one);
}

static void attention_forward(void *ctx) { ref->attn_fwd(NULL, ctx); }

static void test_attention_gradients_are_slopes(void **state)
{
    (void)state;
    enum { T = 5, H = 2, D = 3, QS = H * D, KS = D };
    static const int32_t doc[T] = { 0, 0, 0, 1, 1 };
    struct array q = array_random(TT_F32, T * QS, 1), k = array_random(TT_F32, T * KS, 2), v = array_random(TT_F32, T * KS, 3);
    struct array o = array_new(TT_F32, T * QS), dout = array_random(TT_F32, T * QS, 4), lse = array_new(TT_F32, H * T);
    struct array dq = array_new(TT_F32, T * QS), dk = array_new(TT_F32, T * KS), dv = array_new(TT_F32, T * KS);
    const struct tt_attn at = { .batch = 1,
                                .tq = T,
                                .tk = T,
                                .heads = H,
                                .kv_heads = 1,
                                .dim = D,
                                .dim_v = D,
                                .scale = 0.5f,
                                .mask = { .causal = true, .q_doc = doc, .k_doc = doc } };
    struct tt_attn_fwd fwd = { .at = at,
                               .q = array_in(&q),
                               .k = array_in(&k),
                               .v = array_in(&v),
                               .q_stride = QS,
                               .k_stride = KS,
                               .v_stride = KS,
                               .o = array_out(&o),
                               .o_stride = QS,
                               .lse = array_f32(&lse) };
    ref->attn_fwd(NULL, &fwd);
    ref->attn_bwd(NULL, &(struct tt_attn_bwd){ .at = at,
                                               .q = fwd.q,
                                               .k = fwd.k,
                                               .v = fwd.v,
                                               .o = array_in(&o),
                                               .dout = array_in(&dout),
                                               .q_stride = QS,
                                               .k_stride = KS,
                                               .v_stride = KS,
                                               .o_stride = QS,
                                               .dout_stride = QS,
                                               .lse = array_f32(&lse),
                                               .dq = array_out(&dq),
                                               .dk = array_out(&dk),
                                               .dv = array_out(&dv),
                                               .dq_stride = QS,
                                               .dk_stride = KS,
                                               .dv_stride = KS });
    check_gradient(&q, &dq, &o, &dout, attention_forward, &fwd, "attention dq");
    check_gradient(&k, &dk, &o, &dout, attention_forward, &fwd, "attention dk");
    check_gradient(&v, &dv, &o, &dout, attention_forward, &fwd, "attention dv");
    array_free(&q), array_free(&k), array_free(&v), array_free(&o), array_free(&dout), array_free(&lse), array_free(&dq);
    array_free(&dk), array_free(&dv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rmsnorm_gradients_are_slopes),
        cmocka_unit_test(test_swiglu_gradients_are_slopes),
        cmocka_unit_test(test_the_gradient_of_a_rotation_is_the_rotation_back),
        cmocka_unit_test(test_the_gradient_of_cross_entropy_is_its_slope),
        cmocka_unit_test(test_attention_gradients_are_slopes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
