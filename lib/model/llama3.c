/* llama3 (Touvron et al. 2023, Grattafiori et al. 2024), as TorchTitan's models/llama3/model has it. */
#include "model/model.h"

static tt_val attention(struct tt_rec *rec, const struct tt_model_args *args, tt_val x, tt_val positions,
                        const struct tt_mask *mask)
{
    const tt_val q = tt_rec_linear(rec, x, tt_rec_param(rec, "layers.{}.attention.wq.weight"));
    const tt_val k = tt_rec_linear(rec, x, tt_rec_param(rec, "layers.{}.attention.wk.weight"));
    const tt_val v = tt_rec_linear(rec, x, tt_rec_param(rec, "layers.{}.attention.wv.weight"));
    const tt_val o = tt_rec_attention(rec, tt_rec_rope(rec, q, positions, args->n_heads),
                                      tt_rec_rope(rec, k, positions, args->n_kv_heads), v, args->n_heads, args->n_kv_heads, mask);
    return tt_rec_linear(rec, o, tt_rec_param(rec, "layers.{}.attention.wo.weight"));
}

static tt_val feed_forward(struct tt_rec *rec, tt_val x)
{
    const tt_val gate = tt_rec_linear(rec, x, tt_rec_param(rec, "layers.{}.feed_forward.w1.weight"));
    const tt_val up = tt_rec_linear(rec, x, tt_rec_param(rec, "layers.{}.feed_forward.w3.weight"));
    return tt_rec_linear(rec, tt_rec_swiglu(rec, gate, up), tt_rec_param(rec, "layers.{}.feed_forward.w2.weight"));
}

void tt_llama3_forward(struct tt_rec *rec, const struct tt_model_args *args)
{
    const tt_val positions = tt_rec_input(rec, TT_IN_POSITIONS);
    const struct tt_mask mask = {
        .causal = true,
        .positions = positions,
        .documents = tt_model_wants_documents(args) ? tt_rec_input(rec, TT_IN_DOCUMENTS) : TT_NO_VAL,
    };
    tt_val x = tt_rec_embedding(rec, tt_rec_param(rec, "tok_embeddings.weight"), tt_rec_input(rec, TT_IN_TOKENS));

    for (int layer = 0; layer < args->n_layers; layer++) {
        tt_rec_layer(rec, layer);
        const tt_val xn = tt_rec_rmsnorm(rec, x, tt_rec_param(rec, "layers.{}.attention_norm.weight"), args->norm_eps);
        x = tt_rec_add(rec, x, attention(rec, args, xn, positions, &mask));
        const tt_val hn = tt_rec_rmsnorm(rec, x, tt_rec_param(rec, "layers.{}.ffn_norm.weight"), args->norm_eps);
        x = tt_rec_add(rec, x, feed_forward(rec, hn));
    }
    tt_rec_layer(rec, -1);
    x = tt_rec_rmsnorm(rec, tt_rec_asked(rec, x), tt_rec_param(rec, "norm.weight"), args->norm_eps);
    tt_rec_cross_entropy(rec, tt_rec_linear(rec, x, tt_rec_param(rec, "output.weight")), tt_rec_input(rec, TT_IN_LABELS));
}
