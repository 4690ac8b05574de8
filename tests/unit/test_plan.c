/* Plans of whole steps at many layouts, gone through without running them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "program/plan.h"
#include "train/step.h"

static const struct tt_model_args small = {
    .dim = 48, .n_layers = 2, .n_heads = 24, .n_kv_heads = 24, .vocab_size = 71, .multiple_of = 1, .ffn_dim_multiplier = 1,
    .norm_eps = 1e-5, .rope_theta = 10000, .rope_scaling_args = { .scaling_factor = 8, .low_freq_factor = 1, .high_freq_factor = 4,
                           .original_max_position_embeddings = 8192 }, .depth_init = true,
};

static struct tt_step *make(const struct tt_step_opts *opts)
{
    struct tt_step *step = NULL;
    struct tt_err err = { 0 };

    if (tt_step_new(&step, opts, &err) != TT_OK)
        fail_msg("%s", err.msg);
    return step;
}

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
        cmocka_unit_test(test_a_rank_that_is_alone_puts_nothing_off),
        cmocka_unit_test(test_ranks_of_a_group_make_the_same_again_whatever_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
