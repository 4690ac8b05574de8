/* Prints what a model of a family is made of, as JSON: what tests/interop/family_keys.py compares with TorchTitan's model.
 * usage: family FAMILY FLAVOR SEQ_LEN */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "family/family.h"

static int fail(const struct tt_err *err)
{
    fprintf(stderr, "family: %s\n", err->msg);
    return 1;
}

static void print_init(const struct tt_init *init)
{
    static const char *const names[] = {
        [TT_DRAW_ONES] = "ones", [TT_DRAW_ZEROS] = "zeros", [TT_DRAW_NORMAL] = "normal", [TT_DRAW_TRUNC] = "trunc"
    };
    printf("[\"%s\", %.17g, %.17g, %.17g]", names[init->draw], init->std, init->lo, init->hi);
}

static void print_param(const struct tt_param *p, const struct tt_model_args *args)
{
    static const char *const kinds[] = { [TT_PARAM_WEIGHT] = "weight", [TT_PARAM_EXPERT] = "expert", [TT_PARAM_BUFFER] = "buffer" };
    static const int tp[] = { [TT_TP_REPLICATE] = -1, [TT_TP_SHARD0] = 0, [TT_TP_SHARD1] = 1, [TT_TP_SHARD2] = 2 };
    const struct tt_init init = tt_param_init(p, args);

    printf("{\"fqn\": \"%s\", \"dtype\": \"%s\", \"shape\": [", p->fqn, tt_dtype_name(p->row->dtype));
    for (int d = 0; d < p->ndim; d++)
        printf("%s%" PRId64, d ? ", " : "", p->size[d]);
    printf("], \"kind\": \"%s\", \"tp\": %d, \"init\": ", kinds[p->row->kind], tp[p->row->tp]);
    print_init(&init);
    printf("}");
}

int main(int argc, char **argv)
{
    struct tt_arena arena = { 0 };
    struct tt_model_args args;
    struct tt_params params;
    struct tt_err err;

    if (argc != 4) {
        fprintf(stderr, "usage: family FAMILY FLAVOR SEQ_LEN\n");
        return 2;
    }
    if (tt_model_args_load(&args, argv[1], argv[2], &err) != TT_OK)
        return fail(&err);
    if (tt_params_make(&params, &arena, tt_family_find(argv[1]), &args, &err) != TT_OK)
        return fail(&err);

    const struct tt_model_count count = tt_params_count(&params, &args, atoll(argv[3]));
    printf("{\"nparams\": %" PRId64 ", \"flops_per_token\": %" PRId64 ", \"params\": [\n", count.nparams, count.flops_per_token);
    for (int i = 0; i < params.n; i++) {
        print_param(&params.p[i], &args);
        puts(i + 1 < params.n ? "," : "");
    }
    puts("]}");
    tt_arena_release(&arena);
    return 0;
}
