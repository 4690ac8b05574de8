/* What is kept of a llama3 forward for its backward, by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "model/model.h"

enum { B = 2, T = 8, D = 16, F = 24, V = 32, H = 2 };

static const struct tt_model_args args = {
    .dim = D, .n_layers = 4, .n_heads = H, .n_kv_heads = H, .vocab_size = V, .multiple_of = 8, .ffn_dim_multiplier = 0.5,
    .norm_eps = 1e-5, .rope_theta = 10000,
};

static struct tt_program *differentiated(struct tt_arena *arena, struct tt_params *params, const struct tt_keep *keep)
{
    const struct tt_family *family = tt_family_find("llama3");
    const struct tt_rec_opts opts = { .params = params, .prec = TT_PREC_F32, .param_dtype = TT_F32, .batch = B, .seq_len = T };
    struct tt_program *prog;
    struct tt_rec rec;
    struct tt_err err;

    assert_int_equal(tt_params_make(params, arena, family, &args, &err), TT_OK);
    assert_int_equal(tt_rec_begin(&rec, &opts, &err), TT_OK);
    tt_model_forward(family)(&rec, &args);
    assert_int_equal(tt_rec_finish(&rec, &prog, &err), TT_OK);
    tt_program_keep(prog, keep);
    assert_int_equal(tt_program_differentiate(prog, &err), TT_OK);
    return prog;
}

/* "wq ", "attention ": a product by its weight, another operation by its own name. */
static void put_name(struct tt_buf *out, const struct tt_program *prog, const struct tt_op *op)
{
    const char *name = op->def->name;
    if (tt_op_kind(op) == TT_OP_LINEAR) {
        const char *fqn = prog->params->p[prog->val[op->in[1]].ref].fqn;
        const char *end = strstr(fqn, ".weight");
        name = end;
        while (name > fqn && name[-1] != '.')
            name--;
        tt_buf_printf(out, "%.*s ", (int)(end - name), name);
    } else
        tt_buf_printf(out, "%s ", name);
}

/* The forward operations in the backward of a layer, in their order. The rotations back are no such. */
static void expect_remade(const struct tt_keep *keep, int layer, const char *expected)
{
    struct tt_arena arena = { 0 };
    struct tt_params params;
    struct tt_program *prog = differentiated(&arena, &params, keep);
    struct tt_buf found = { 0 };

    for (int i = 0; i < prog->nops; i++) {
        const struct tt_op *op = &prog->op[i];
        const bool is_gradient = tt_op_kind(op) == TT_OP_ROPE && op->arg[1];
        if (op->phase == TT_I && op->def->grad && !is_gradient && prog->val[op->out[0]].layer == layer)
            put_name(&found, prog, op);
    }
    assert_string_equal(tt_buf_cstr(&found), expected);
    tt_buf_release(&found);
    tt_program_free(prog);
    tt_arena_release(&arena);
}

static uint64_t kept(const struct tt_keep *keep)
{
    struct tt_arena arena = { 0 };
    struct tt_params params;
    struct tt_program *prog = differentiated(&arena, &params, keep);
    struct tt_err err;
    uint64_t nbytes;

    assert_int_equal(tt_program_kept_nbytes(&nbytes, prog, &err), TT_OK);
    tt_program_free(prog);
    tt_arena_release(&arena);
    return nbytes;
}

/* Everything, in the order in which the backward comes to want it: all of a layer but what nobody reads, the last product. */
#define WHOLE "rmsnorm wq rope wk rope wv attention wo add rmsnorm w1 w3 swiglu "

static void test_every_second_layer_is_made_again_whole(void **state)
{
    const struct tt_keep keep = { .kind = TT_KEEP_LAYER_INPUTS, .every = 2 };

    (void)state;
    for (int layer = 0; layer < 4; layer++)
        expect_remade(&keep, layer, layer % 2 == 1 ? WHOLE : "swiglu rmsnorm rmsnorm ");
}

static void test_every_layer_is_made_again_in_full(void **state)
{
    (void)state;
    for (int layer = 0; layer < 4; layer++)
        expect_remade(&(struct tt_keep){ .kind = TT_KEEP_LAYER_INPUTS }, layer, WHOLE);
    expect_remade(&(struct tt_keep){ .kind = TT_KEEP_LAYER_INPUTS, .every = 9 }, 3, "swiglu rmsnorm rmsnorm ");
}

/* Of seven products wq, wv, w1 and w2 are kept, and attention. */
static void test_every_second_product_is_made_again(void **state)
{
    (void)state;
    expect_remade(&(struct tt_keep){ .kind = TT_KEEP_PRODUCTS }, 2, "wo add rmsnorm w3 swiglu rope rmsnorm wk rope ");
}

/* All four of attention have the shape of wo, and none counts then: w1 and w2 are the first and the third. */
static void test_products_of_a_named_shape_are_made_again_and_not_counted(void **state)
{
    static const char *const names[] = { "layers.2.attention.wo" };
    const struct tt_keep keep = { .kind = TT_KEEP_PRODUCTS, .remade = names, .nremade = 1 };

    (void)state;
    expect_remade(&keep, 2, "wo add rmsnorm w3 swiglu rmsnorm wq rope wk rope wv ");
    expect_remade(&keep, 1, "wo add rmsnorm w3 swiglu rope rmsnorm wk rope ");
}

static void test_a_name_is_a_part_of_a_modules_name(void **state)
{
    static const char *const names[] = { "weight", "moe.router.gate" };

    (void)state;
    expect_remade(&(struct tt_keep){ .kind = TT_KEEP_PRODUCTS, .remade = names, .nremade = 2 }, 2,
                  "wo add rmsnorm w3 swiglu rope rmsnorm wk rope ");
}

/* In float32 elements, N = B T: the final norm's input and root mean square, the gradient of the logits. */
static void test_bytes_that_are_kept(void **state)
{
    enum { N = B * T, HEAD = N * (D + 1 + V) };
    /* q, k, v after and before their rotations as they are read; o, lse; h, the two norms' roots, w1, w3, the layer's input */
    enum { LAYER = N * (4 * D + H + D + 2 + 2 * F + D) };

    (void)state;
    assert_int_equal(kept(&(struct tt_keep){ .kind = TT_KEEP_DEAR }), 4 * (HEAD + 4 * LAYER));
    assert_int_equal(kept(&(struct tt_keep){ .kind = TT_KEEP_LAYER_INPUTS }), 4 * (HEAD + 4 * N * D));
    assert_int_equal(kept(&(struct tt_keep){ .kind = TT_KEEP_LAYER_INPUTS, .every = 2 }), 4 * (HEAD + 2 * LAYER + 2 * N * D));
    /* wq, wv, o, lse, w1 and the input */
    assert_int_equal(kept(&(struct tt_keep){ .kind = TT_KEEP_PRODUCTS }), 4 * (HEAD + 4 * N * (3 * D + H + F + D)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_second_layer_is_made_again_whole),
        cmocka_unit_test(test_every_layer_is_made_again_in_full),
        cmocka_unit_test(test_every_second_product_is_made_again),
        cmocka_unit_test(test_products_of_a_named_shape_are_made_again_and_not_counted),
        cmocka_unit_test(test_a_name_is_a_part_of_a_modules_name),
        cmocka_unit_test(test_bytes_that_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
