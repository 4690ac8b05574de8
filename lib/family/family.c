#include "family/family.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/nearest.h"
#include "family/family_private.h"

static const struct tt_family *const families[] = {
    &tt_family_llama3, &tt_family_qwen3, &tt_family_llama4, &tt_family_deepseek_v3, &tt_family_gpt_oss,
};
enum { NFAMILIES = sizeof families / sizeof families[0] };

const struct tt_family *tt_family_find(const char *name)
{
    for (size_t i = 0; i < NFAMILIES; i++)
        if (strcmp(families[i]->name, name) == 0)
            return families[i];
    return NULL;
}

const char *tt_family_nearest(const char *name)
{
    const char *names[NFAMILIES];
    for (size_t i = 0; i < NFAMILIES; i++)
        names[i] = families[i]->name;
    return tt_nearest_name(name, names, NFAMILIES);
}

/* --- sizes ----------------------------------------------------------------------------------------------------------------- */

static int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/* llama's feed-forward width before rounding: int() where TorchTitan has it. */
static int64_t hidden_before_rounding(const struct tt_model_args *args)
{
    return (int64_t)(args->ffn_dim_multiplier * (double)(8 * args->dim / 3));
}

static int64_t expert_hidden_size(const struct tt_model_args *args)
{
    int64_t hidden = hidden_before_rounding(args);
    if (args->auto_scale_hidden_dim)
        hidden /= args->moe_args.top_k + args->moe_args.num_shared_experts;
    return round_up(hidden, args->multiple_of);
}

int64_t tt_family_size(const struct tt_model_args *args, enum tt_size size)
{
    const struct tt_moe_args *moe = &args->moe_args;

    switch (size) {
    case TT_SIZE_VOCAB: return args->vocab_size;
    case TT_SIZE_DIM: return args->dim;
    case TT_SIZE_HEADS: return args->n_heads;
    case TT_SIZE_HEAD: return tt_model_args_head_dim(args);
    case TT_SIZE_Q: return args->n_heads * tt_model_args_head_dim(args);
    case TT_SIZE_KV: return args->n_kv_heads * tt_model_args_head_dim(args);
    case TT_SIZE_HIDDEN: return round_up(hidden_before_rounding(args), args->multiple_of);
    case TT_SIZE_HIDDEN_DIM: return args->hidden_dim;
    case TT_SIZE_INTER_DIM: return args->inter_dim;
    case TT_SIZE_EXPERTS: return moe->num_experts;
    case TT_SIZE_EXPERT: return args->moe_inter_dim;
    case TT_SIZE_EXPERT_2: return 2 * args->moe_inter_dim;
    case TT_SIZE_SHARED: return moe->num_shared_experts * args->moe_inter_dim;
    case TT_SIZE_EXPERT_HIDDEN: return expert_hidden_size(args);
    case TT_SIZE_SHARED_HIDDEN: return moe->num_shared_experts * expert_hidden_size(args);
    case TT_SIZE_MLA_Q: return args->n_heads * (args->qk_nope_head_dim + args->qk_rope_head_dim);
    case TT_SIZE_MLA_KV_A: return args->kv_lora_rank + args->qk_rope_head_dim;
    case TT_SIZE_MLA_KV_B: return args->n_heads * (args->qk_nope_head_dim + args->v_head_dim);
    case TT_SIZE_MLA_O: return args->n_heads * args->v_head_dim;
    case TT_SIZE_Q_LORA: return args->q_lora_rank;
    case TT_SIZE_KV_LORA: return args->kv_lora_rank;
    case TT_SIZE_NONE:
    case TT_NSIZES: break;
    }
    return 0;
}

/* --- the parameters of a model --------------------------------------------------------------------------------------------- */

/* The conditions (tt_row_if) that hold for a layer; -1: for what is outside the layers. */
static unsigned holds(const struct tt_family *family, const struct tt_model_args *args, int layer)
{
    const bool moe = layer >= 0 && family->is_moe && family->is_moe(args, layer);

    return (moe ? TT_IF_MOE : TT_IF_DENSE) | (args->moe_args.num_shared_experts > 0 ? TT_IF_SHARED : 0) |
           (args->moe_args.load_balance_coeff > 0 ? TT_IF_BIAS : 0) | (args->moe_args.gate_bias ? TT_IF_GATE_BIAS : 0) |
           (args->qk_norm ? TT_IF_QK_NORM : 0) | (args->q_lora_rank > 0 ? TT_IF_Q_LORA : TT_IF_Q_WHOLE);
}

void tt_family_key(struct tt_buf *out, const char *pattern, int64_t layer, int64_t expert)
{
    const int64_t numbers[] = { layer, expert };

    for (int i = 0; i < 2; i++) {
        const char *hole = strstr(pattern, "{}");
        if (!hole)
            break;
        tt_buf_printf(out, "%.*s%" PRId64, (int)(hole - pattern), pattern, numbers[i]);
        pattern = hole + 2;
    }
    tt_buf_str(out, pattern);
}

static const char *fqn_of(struct tt_arena *arena, const char *pattern, int layer)
{
    struct tt_buf fqn = { 0 };

    tt_family_key(&fqn, pattern, layer, 0);
    const char *copy = fqn.failed ? NULL : tt_arena_str(arena, tt_buf_cstr(&fqn));
    tt_buf_release(&fqn);
    return copy;
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

/* Rows [begin, end) for one layer, as far as it has them. */
static tt_status add_rows(struct tt_params *params, struct tt_arena *arena, const struct tt_family *family,
                          const struct tt_model_args *args, int begin, int end, int layer, struct tt_err *err)
{
    const unsigned held = holds(family, args, layer);

    for (int i = begin; i < end; i++) {
        const struct tt_param_row *row = &family->rows[i];
        if (row->need & ~held)
            continue;
        const tt_status status = param_make(&params->p[params->n], arena, row, args, layer, err);
        if (status != TT_OK)
            return status;
        params->n++;
    }
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

    tt_status status = TT_OK;
    for (int r = 0; status == TT_OK && r < family->nrows;) {
        int end = r + 1, first = -1, last = -1;
        if (family->rows[r].part == TT_PART_LAYER) { /* the layers' rows are a run, repeated for each layer */
            while (end < family->nrows && family->rows[end].part == TT_PART_LAYER)
                end++;
            first = 0;
            last = nlayers - 1;
        }
        for (int layer = first; status == TT_OK && layer <= last; layer++)
            status = add_rows(&params, arena, family, args, r, end, layer, err);
        r = end;
    }
    if (status == TT_OK)
        *out = params;
    return status;
}

/* --- initial values -------------------------------------------------------------------------------------------------------- */

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
    case TT_INIT_ZEROS: return (struct tt_init){ .draw = TT_DRAW_ZEROS };
    case TT_INIT_NORMAL: return (struct tt_init){ .draw = TT_DRAW_NORMAL, .std = 1 };
    case TT_INIT_TRUNC: return truncated(0.02, 2);
    case TT_INIT_TRUNC_DEPTH: return truncated(0.02 / sqrt(2 * depth), 2);
    case TT_INIT_TRUNC_OUTPUT: return truncated(output_std, 3 * output_std);
    }
    return (struct tt_init){ .draw = TT_DRAW_ONES };
}

/* --- counts ---------------------------------------------------------------------------------------------------------------- */

static int64_t head_dims(const struct tt_model_args *args)
{
    if (args->kv_lora_rank > 0)
        return args->qk_nope_head_dim + args->qk_rope_head_dim + args->v_head_dim;
    return 2 * tt_model_args_head_dim(args);
}

struct tt_model_count tt_params_count(const struct tt_params *params, const struct tt_model_args *args, int64_t seq_len)
{
    int64_t embedding = 0, experts = 0, others = 0;

    for (int i = 0; i < params->n; i++) {
        const struct tt_param *p = &params->p[i];
        if (p->row->kind == TT_PARAM_BUFFER || (args->enable_weight_tying && p->row->fill == TT_FILL_EMBEDDING))
            continue;
        if (p->row->part == TT_PART_EMBED)
            embedding += p->numel;
        else if (p->row->kind == TT_PARAM_EXPERT)
            experts += p->numel;
        else
            others += p->numel;
    }
    const int64_t active = experts ? experts * args->moe_args.top_k / args->moe_args.num_experts : 0;
    return (struct tt_model_count){
        .nparams = others + experts + (args->enable_weight_tying ? 0 : embedding),
        .flops_per_token = 6 * (others + active) + 6 * args->n_layers * args->n_heads * head_dims(args) * seq_len,
    };
}
