/* step DIR NAME=NUMBER...: runs optimizer steps on raw numbers; what tests/interop/step_vs_torch.py compares with PyTorch.
 *
 * Reads DIR/params (every parameter one after another in state_dict order, in the parameters' type), DIR/tokens and DIR/labels
 * (int32, steps x microbatches x batch x seq). Prints loss, grad_norm, tokens and milliseconds of each step. Writes DIR/grads and
 * DIR/exp_avg after the first step, DIR/params_out after the last. random=1 makes up all of its input and writes nothing: a
 * benchmark. plan=1 only says what the plan takes. prec and keep are numbers of enum tt_prec and tt_keep_kind. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "train/step.h"

struct number {
    const char *name;
    double v;
};

static struct number numbers[] = {
    { "dim", 256 }, { "n_layers", 6 }, { "n_heads", 16 }, { "n_kv_heads", 16 }, { "vocab_size", 2048 }, { "multiple_of", 256 },
    { "ffn_dim_multiplier", 1 }, { "norm_eps", 1e-5 }, { "rope_theta", 500000 }, { "original_max", 8192 }, { "attn_type", 0 },
    { "mask", 0 }, { "eos", 0 }, { "prec", 0 }, { "bf16_params", 0 }, { "batch", 8 }, { "seq", 2048 }, { "nmb", 1 }, { "steps", 1 },
    { "lr", 8e-4 }, { "beta1", 0.9 }, { "beta2", 0.95 }, { "eps", 1e-8 }, { "weight_decay", 0.1 }, { "adamw", 1 },
    { "max_norm", 1 }, { "threads", 0 }, { "ref", 0 }, { "random", 0 }, { "keep", 0 }, { "plan", 0 },
};

static double *number(const char *name)
{
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(numbers[i].name, name) == 0)
            return &numbers[i].v;
    fprintf(stderr, "step: no number is called %s\n", name);
    exit(2);
}

static int64_t whole(const char *name)
{
    return (int64_t)*number(name);
}

static void parse(int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        char *eq = strchr(argv[i], '=');
        if (!eq)
            exit(2);
        *eq = 0;
        *number(argv[i]) = strtod(eq + 1, NULL);
    }
}

static struct tt_model_args model_args(void)
{
    return (struct tt_model_args){
        .dim = whole("dim"), .n_layers = whole("n_layers"), .n_heads = whole("n_heads"), .n_kv_heads = whole("n_kv_heads"),
        .vocab_size = whole("vocab_size"), .multiple_of = whole("multiple_of"), .ffn_dim_multiplier = *number("ffn_dim_multiplier"),
        .norm_eps = *number("norm_eps"), .rope_theta = *number("rope_theta"),
        .rope_scaling_args = { .scaling_factor = 8, .low_freq_factor = 1, .high_freq_factor = 4,
                           .original_max_position_embeddings = whole("original_max") }, .max_seq_len = whole("seq"), .depth_init = true,
        .attn_type = (enum tt_attn_type)whole("attn_type"), .attn_mask_type = (enum tt_mask_type)whole("mask"),
    };
}

static FILE *open_in(const char *dir, const char *name, const char *mode)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, mode);
    if (!f) {
        perror(path);
        exit(1);
    }
    return f;
}

static void transfer(const char *dir, const char *name, const struct tt_step *step, size_t field, bool write)
{
    int n;
    const struct tt_step_param *param = tt_step_params(step, &n);
    FILE *f = open_in(dir, name, write ? "wb" : "rb");

    for (int i = 0; i < n; i++) {
        void *p;
        memcpy(&p, (const char *)&param[i] + field, sizeof p);
        const size_t nbytes = (size_t)param[i].param->numel * tt_dtype_nbytes(param[i].dtype);
        if ((write ? fwrite(p, 1, nbytes, f) : fread(p, 1, nbytes, f)) != nbytes)
            exit(1);
    }
    if (fclose(f) != 0)
        exit(1);
}

static void make_up(struct tt_step *step, int nmb, size_t ntokens)
{
    int n;
    const struct tt_step_param *param = tt_step_params(step, &n);
    unsigned seed = 1;

    for (int i = 0; i < n; i++)
        for (int64_t j = 0; j < param[i].param->numel; j++) {
            seed = seed * 1664525u + 1013904223u;
            const float v = param[i].param->ndim == 1 ? 1 : (float)((int)(seed >> 16) - 32768) / 32768 * 0.035f;
            if (param[i].dtype == TT_F32)
                ((float *)param[i].value)[j] = v;
            else
                ((uint16_t *)param[i].value)[j] = tt_f32_to_bf16(v);
        }
    for (int mb = 0; mb < nmb; mb++)
        for (size_t i = 0; i < ntokens; i++) {
            seed = seed * 1664525u + 1013904223u;
            tt_step_tokens(step, mb)[i] = (int)((seed >> 8) % (unsigned)whole("vocab_size"));
            tt_step_labels(step, mb)[i] = (int)((seed >> 9) % (unsigned)whole("vocab_size"));
        }
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
    struct tt_err err = { 0 };
    struct tt_pool *pool = NULL;
    struct tt_step *step = NULL;
    if (argc < 2)
        return 2;
    parse(argc, argv);
    const struct tt_model_args args = model_args();
    const int nmb = (int)whole("nmb"), steps = (int)whole("steps");
    const bool random = whole("random") != 0;
    const size_t ntokens = (size_t)(whole("batch") * whole("seq"));
    const struct tt_step_opts opts = {
        .family = tt_family_find("llama3"),
        .args = &args,
        .prec = (enum tt_prec)whole("prec"),
        .param_dtype = whole("bf16_params") ? TT_BF16 : TT_F32,
        .local_batch = whole("batch"),
        .seq_len = whole("seq"),
        .nmicrobatches = nmb,
        .eos_id = (int32_t)whole("eos"),
        .kernels = whole("ref") ? &tt_kernels_ref : NULL,
        .keep = { .kind = (enum tt_keep_kind)whole("keep") },
        .plan_only = whole("plan") != 0,
    };
    struct tt_step_opts with_pool = opts;

    if (tt_pool_new(&pool, (int)whole("threads"), &err) != TT_OK)
        goto fail;
    with_pool.pool = pool;
    if (tt_step_new(&step, &with_pool, &err) != TT_OK)
        goto fail;
    const struct tt_cost *cost = tt_step_cost(step);
    fprintf(stderr, "arena %.1f MB, most alive %.1f MB, params %.1f, copies %.1f, grads %.1f, optimizer %.1f MB, %.1f GFLOP\n",
            (double)cost->arena / 1e6, (double)cost->live_max / 1e6, (double)cost->params / 1e6, (double)cost->copies / 1e6,
            (double)cost->grads / 1e6, (double)cost->optim / 1e6, (double)cost->flops / 1e9);

    if (opts.plan_only)
        goto out;
    FILE *tokens = NULL, *labels = NULL;
    if (random)
        make_up(step, nmb, ntokens);
    else {
        transfer(argv[1], "params", step, offsetof(struct tt_step_param, value), false);
        tokens = open_in(argv[1], "tokens", "rb");
        labels = open_in(argv[1], "labels", "rb");
    }
    for (int i = 1; i <= steps; i++) {
        for (int mb = 0; mb < nmb && !random; mb++)
            if (fread(tt_step_tokens(step, mb), 4, ntokens, tokens) != ntokens ||
                fread(tt_step_labels(step, mb), 4, ntokens, labels) != ntokens)
                return 1;
        const struct tt_step_in in = {
            .hyper = { *number("lr"), *number("beta1"), *number("beta2"), *number("eps"), *number("weight_decay"),
                       whole("adamw") != 0 },
            .step = i, .max_norm = *number("max_norm"),
        };
        struct tt_step_out out;
        const double begin = now_ms();
        if (tt_step_run(step, &in, &out, &err) != TT_OK)
            goto fail;
        printf("%.9g %.9g %lld %.3f\n", (double)out.loss, (double)out.grad_norm, (long long)out.ntokens, now_ms() - begin);
        fflush(stdout);
        if (i == 1 && !random) {
            transfer(argv[1], "grads", step, offsetof(struct tt_step_param, grad), true);
            transfer(argv[1], "exp_avg", step, offsetof(struct tt_step_param, exp_avg), true);
        }
    }
    if (!random) {
        transfer(argv[1], "params_out", step, offsetof(struct tt_step_param, value), true);
        fclose(tokens);
        fclose(labels);
    }
out:
    tt_step_free(step);
    tt_pool_free(pool);
    return 0;
fail:
    fprintf(stderr, "step: %s\n", err.msg);
    return 1;
}
