#include "family/family.h"

#include <math.h>
#include <string.h>

#include "family/family_private.h"

static const struct tt_family *const families[] = { &tt_family_llama3 };

const struct tt_family *tt_family_find(const char *name)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (strcmp(families[i]->name, name) == 0)
            return families[i];
    return NULL;
}

static int64_t hidden_size(const struct tt_model_args *args)
{
    const int64_t base = 8 * args->dim / 3;
    const int64_t hidden = (int64_t)(args->ffn_dim_multiplier * (double)base);
    return args->multiple_of * ((hidden + args->multiple_of - 1) / args->multiple_of);
}

int64_t tt_family_size(const struct tt_model_args *args, enum tt_size size)
{
    const int64_t head = args->dim / args->n_heads;

    switch (size) {
    case TT_SIZE_VOCAB: return args->vocab_size;
    case TT_SIZE_DIM: return args->dim;
    case TT_SIZE_Q: return args->n_heads * head;
    case TT_SIZE_KV: return args->n_kv_heads * head;
    case TT_SIZE_HIDDEN: return hidden_size(args);
    case TT_SIZE_NONE:
    case TT_NSIZES: break;
    }
    return 0;
}

static const char *fqn_of(struct tt_arena *arena, const char *key, int layer)
{
    const char *hole = strstr(key, "{}");
    return hole ? tt_arena_printf(arena, "%.*s%d%s", (int)(hole - key), key, layer, hole + 2) : tt_arena_str(arena, key);
}

static tt_status param_make(struct tt_param *out, struct tt_arena *arena, const struct tt_param_row *row,
                            const struct tt_model_args *args, int layer, struct tt_err *err)
{
    struct tt_param p = { .row = row, .layer = layer, .numel = 1 };

    p.fqn = fqn_of(arena, row->key, layer);
    if (!p.fqn)
        return tt_err_nomem(err, strlen(row->key) + 16, "a parameter's name");
    p.unit = row->part == TT_PART_EMBED ? 0 : row->part == TT_PART_LAYER ? 1 + layer : 1 + (int)args->n_layers;
    while (p.ndim < TT_PARAM_NDIM && row->shape[p.ndim] != TT_SIZE_NONE) {
        const int64_t size = tt_family_size(args, row->shape[p.ndim]);
        if (size < 1 || __builtin_mul_overflow(p.numel, size, &p.numel) || p.numel > INT64_MAX / 16)
            return tt_err_set(err, TT_EINVAL, "%s: size %lld of dimension %d cannot be", p.fqn, (long long)size, p.ndim);
        p.size[p.ndim++] = size;
    }
    *out = p;
    return TT_OK;
}

tt_status tt_params_make(struct tt_params *out, struct tt_arena *arena, const struct tt_family *family,
                         const struct tt_model_args *args, struct tt_err *err)
{
    enum { LAYERS_MAX = 1 << 16 };
    if (args->n_layers < 0 || args->n_layers > LAYERS_MAX)
        return tt_err_set(err, TT_EINVAL, "n_layers: expected 0 to %d, found %lld", LAYERS_MAX, (long long)args->n_layers);

    const int nlayers = (int)args->n_layers;
    struct tt_params params = { .nunits = nlayers + 2 };
    params.p = tt_arena_array(arena, (size_t)family->nrows * (size_t)(nlayers + 1), sizeof *params.p);
    if (!params.p)
        return tt_err_nomem(err, (size_t)family->nrows * (size_t)(nlayers + 1) * sizeof *params.p, "the parameter table");

    for (int r = 0; r < family->nrows;) {
        const struct tt_param_row *row = &family->rows[r];
        if (row->part != TT_PART_LAYER) {
            const tt_status status = param_make(&params.p[params.n++], arena, row, args, -1, err);
            if (status != TT_OK)
                return status;
            r++;
            continue;
        }
        int end = r; /* the layers' rows are a run, repeated for each layer */
        while (end < family->nrows && family->rows[end].part == TT_PART_LAYER)
            end++;
        for (int layer = 0; layer < nlayers; layer++)
            for (int i = r; i < end; i++) {
                const tt_status status = param_make(&params.p[params.n++], arena, &family->rows[i], args, layer, err);
                if (status != TT_OK)
                    return status;
            }
        r = end;
    }
    *out = params;
    return TT_OK;
}

static struct tt_init truncated(double std, double bound)
{
    return (struct tt_init){ .draw = TT_DRAW_TRUNC, .std = std, .lo = -bound, .hi = bound };
}

struct tt_init tt_param_init(const struct tt_param *param, const struct tt_model_args *args)
{
    const double depth = args->depth_init ? (double)param->layer + 1 : (double)args->n_layers;
    const double output_std = pow((double)args->dim, -0.5);

    switch (param->row->init) {
    case TT_INIT_ONES: break;
    case TT_INIT_NORMAL: return (struct tt_init){ .draw = TT_DRAW_NORMAL, .std = 1 };
    case TT_INIT_TRUNC: return truncated(0.02, 2);
    case TT_INIT_TRUNC_DEPTH: return truncated(0.02 / sqrt(2 * depth), 2);
    case TT_INIT_TRUNC_OUTPUT: return truncated(output_std, 3 * output_std);
    }
    return (struct tt_init){ .draw = TT_DRAW_ONES };
}

struct tt_model_count tt_params_count(const struct tt_params *params, const struct tt_model_args *args, int64_t seq_len)
{
    int64_t nparams = 0, embedding = 0;

    for (int i = 0; i < params->n; i++) {
        nparams += params->p[i].numel;
        if (params->p[i].row->part == TT_PART_EMBED)
            embedding += params->p[i].numel;
    }
    const int64_t head_dims = 2 * (args->dim / args->n_heads); /* of queries and keys, and of values */
    return (struct tt_model_count){
        .nparams = nparams,
        .flops_per_token = 6 * (nparams - embedding) + 6 * args->n_layers * args->n_heads * head_dims * seq_len,
    };
}
