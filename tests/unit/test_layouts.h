/* What the tests of layouts train, and how a rank of a layout is run. */
#ifndef TT_TESTS_TEST_LAYOUTS_H
#define TT_TESTS_TEST_LAYOUTS_H

#include "comm/mesh.h"
#include "tensor/region.h"
#include "train/step.h"

/* Sizes that ranks share unevenly. */
static const struct tt_model_args small = {
    .dim = 48, .n_layers = 2, .n_heads = 8, .n_kv_heads = 4, .vocab_size = 71, .multiple_of = 8, .ffn_dim_multiplier = 1,
    .norm_eps = 1e-5, .rope_theta = 10000, .rope_scaling_args = { .scaling_factor = 8, .low_freq_factor = 1, .high_freq_factor = 4,
                           .original_max_position_embeddings = 8192 }, .depth_init = true,
};

/* From -1 to 1. */
static inline float uniform(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) / (float)(1 << 23) - 1;
}

/* Returns how many labels count. */
static inline int fill_tokens(int32_t *tokens, int32_t *labels, int n, int64_t vocab, unsigned *seed)
{
    int count = 0;

    for (int i = 0; i < n; i++) {
        tokens[i] = (int32_t)((uniform(seed) + 1) * 0.499f * (float)vocab);
        labels[i] = uniform(seed) > 0.7f ? TT_IGNORE_INDEX : (int32_t)((uniform(seed) + 1) * 0.499f * (float)vocab);
        count += labels[i] != TT_IGNORE_INDEX;
    }
    return count;
}

/* What the rank has of a dimension: its piece of the tensor parallel group's, and of that one its shard. */
static inline struct tt_run run_of(const struct tt_param *p, int dim, const struct tt_mesh *mesh)
{
    struct tt_run run = { 0, dim < p->ndim ? p->size[dim] : 1 };

    if ((int)p->row->tp == (int)TT_TP_SHARD0 + dim)
        run = tt_chunk(run.len, tt_mesh_size(mesh, TT_MESH_TP), tt_mesh_coord(mesh, TT_MESH_TP));
    if (dim > 0)
        return run;
    const struct tt_run shard = tt_chunk(run.len, tt_mesh_size(mesh, TT_MESH_FSDP), tt_mesh_coord(mesh, TT_MESH_FSDP));
    return (struct tt_run){ run.at + shard.at, shard.len };
}

static inline bool is_in(int64_t i, struct tt_run run) { return i >= run.at && i < run.at + run.len; }

/* The rank's part of parameters that are the same in every layout. */
static inline void fill_params(struct tt_step *step, const struct tt_mesh *mesh)
{
    unsigned seed = 9;
    int n;
    const struct tt_step_param *param = tt_step_params(step, &n);

    for (int k = 0; k < n; k++) {
        const struct tt_param *p = param[k].param;
        const struct tt_run rows = run_of(p, 0, mesh), columns = run_of(p, 1, mesh);
        const int64_t width = p->numel / p->size[0];
        float *value = param[k].value;
        uint16_t *rounded = param[k].value;
        for (int64_t i = 0; i < p->numel; i++) {
            const float x = p->ndim == 1 ? 1 + 0.1f * uniform(&seed) : 0.2f * uniform(&seed);
            if (!is_in(i / width, rows) || !is_in(i % width, columns))
                continue;
            if (param[k].dtype == TT_F32)
                *value++ = x;
            else
                *rounded++ = tt_f32_to_bf16(x);
        }
    }
}

/* A rank of this layout: makes the step, with communicators of all groups, and trains it. */
static inline tt_status run_rank_of(struct tt_world *world, const struct tt_degrees *degrees, struct tt_step_opts opts,
                                    tt_status (*train)(void *ctx, struct tt_step *step, const struct tt_mesh *mesh,
                                                       struct tt_err *err),
                                    void *ctx, struct tt_err *err)
{
    static const struct {
        enum tt_queue queue;
        enum tt_mesh_dim dim;
    } groups[] = {
        { TT_Q_GATHER, TT_MESH_FSDP }, { TT_Q_REDUCE, TT_MESH_FSDP }, { TT_Q_REPLICATE, TT_MESH_REPLICATE }, { TT_Q_TP, TT_MESH_TP }
    };
    const struct tt_mesh mesh = { *degrees, world->rank };
    struct tt_step *step = NULL;
    tt_status status = TT_OK;

    for (size_t g = 0; g < sizeof groups / sizeof *groups && status == TT_OK; g++) {
        const enum tt_mesh_dim dim = groups[g].dim;
        int ranks[16];
        opts.group[groups[g].queue] = (struct tt_group){ tt_mesh_size(&mesh, dim), tt_mesh_coord(&mesh, dim) };
        for (int i = 0; i < tt_mesh_size(&mesh, dim); i++)
            ranks[i] = tt_mesh_peer(&mesh, dim, i);
        status = tt_comm_new(&opts.comm[groups[g].queue], world, ranks, tt_mesh_size(&mesh, dim), tt_mesh_names[dim], err);
    }
    if (status == TT_OK)
        status = tt_step_new(&step, &opts, err);
    if (status == TT_OK)
        status = train(ctx, step, &mesh, err);
    if (status != TT_OK)
        tt_world_abort(world, err);
    tt_step_free(step);
    for (int q = 0; q < TT_NQ; q++)
        tt_comm_free(opts.comm[q]);
    return status;
}

#endif
