/* Small models of every family and checkpoints of them in memory: what test_hf.c and test_hf_names.c work on. */
#ifndef TT_TEST_HF_H
#define TT_TEST_HF_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ckpt/output.h"
#include "convert/hf.h"
#include "tensor/cast.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define assert_ok(call)              \
    do {                             \
        struct tt_err e_ = { 0 };    \
        const tt_status s_ = (call); \
        if (s_ != TT_OK)             \
            fail_msg("%s", e_.msg);  \
    } while (0)

/* --- small models of every kind ---------------------------------------------------------------------------------------------- */

#define SMALL                                                                                                             \
    .dim = 32, .n_layers = 2, .n_heads = 4, .n_kv_heads = 2, .vocab_size = 12, .multiple_of = 4, .ffn_dim_multiplier = 1, \
    .moe_inter_dim = 64, .hidden_dim = 20, .inter_dim = 24
#define EXPERTS(n, shared)                                                                         \
    {                                                                                              \
        .num_experts = (n), .num_shared_experts = (shared), .top_k = 1, .load_balance_coeff = 1e-3 \
    }
#define LATENT .kv_lora_rank = 6, .qk_nope_head_dim = 4, .qk_rope_head_dim = 2, .v_head_dim = 3

static const struct model {
    const char *name, *family;
    struct tt_model_args args;
} models[] = {
    { "llama3", "llama3", { SMALL } },
    { "qwen3", "qwen3", { SMALL, .head_dim = 6, .qk_norm = true } },
    { "qwen3 tied", "qwen3", { SMALL, .head_dim = 6, .enable_weight_tying = true } },
    { "qwen3 moe", "qwen3", { SMALL, .head_dim = 6, .qk_norm = true, .moe_enabled = true, .moe_args = EXPERTS(3, 0) } },
    { "llama4", "llama4", { SMALL, .interleave_moe_layer_step = 2, .auto_scale_hidden_dim = true, .moe_args = EXPERTS(3, 1) } },
    { "llama4 all moe", "llama4", { SMALL, .interleave_moe_layer_step = 1, .moe_args = EXPERTS(2, 0) } },
    { "deepseek_v3", "deepseek_v3", { SMALL, LATENT, .n_dense_layers = 1, .moe_args = EXPERTS(3, 2) } },
    { "deepseek_v3 q_lora", "deepseek_v3", { SMALL, LATENT, .q_lora_rank = 5, .moe_args = EXPERTS(2, 1) } },
    { "gpt_oss",
      "gpt_oss",
      { SMALL, .head_dim = 6, .moe_args = { .num_experts = 3, .top_k = 1, .gate_bias = true, .load_balance_coeff = 1e-3 } } },
};

static const struct model *find_model(const char *name)
{
    for (size_t i = 0; i < COUNT(models); i++)
        if (strcmp(models[i].name, name) == 0)
            return &models[i];
    fail_msg("no model %s", name);
    return NULL;
}

static inline struct tt_hf_opts opts_of(const struct model *m)
{
    return (struct tt_hf_opts){ .family = tt_family_find(m->family), .args = &m->args, .dtype = TT_F32 };
}

/* --- checkpoints in memory --------------------------------------------------------------------------------------------------- */

static inline struct tt_ckpt *new_ckpt(void)
{
    struct tt_ckpt *ckpt = NULL;
    assert_ok(tt_ckpt_memory(&ckpt, &e_));
    return ckpt;
}

static inline int64_t numel_of(int ndim, const int64_t *shape)
{
    int64_t n = 1;
    for (int d = 0; d < ndim; d++)
        n *= shape[d];
    return n;
}

/* data: copied, or random numbers where it is NULL. */
static inline struct tt_entry *put(struct tt_ckpt *ckpt, const char *fqn, enum tt_dtype dtype, int ndim, const int64_t *shape,
                            const void *data)
{
    static uint32_t random = 1;
    struct tt_arena *arena = &ckpt->entries.arena;
    const size_t n = (size_t)numel_of(ndim, shape), nbytes = n * tt_dtype_nbytes(dtype);
    int64_t *dims = tt_arena_array(arena, 4, sizeof *dims), *zeros = tt_arena_array(arena, 4, sizeof *zeros);
    struct tt_chunk *chunk = tt_arena_alloc(arena, sizeof *chunk);
    uint8_t *bytes = tt_arena_alloc(arena, nbytes);

    memcpy(dims, shape, (size_t)ndim * sizeof *dims);
    for (size_t i = 0; i < n; i++) {
        random = random * 1664525 + 1013904223;
        const float value = (float)(random >> 16) / 1024 - 32;
        if (data)
            memcpy(bytes + i * tt_dtype_nbytes(dtype), (const uint8_t *)data + i * tt_dtype_nbytes(dtype), tt_dtype_nbytes(dtype));
        else if (dtype == TT_U8)
            bytes[i] = (uint8_t)(random >> 20);
        else
            tt_cast(bytes + i * tt_dtype_nbytes(dtype), dtype, &value, TT_F32, 1);
    }
    *chunk = (struct tt_chunk){ .offsets = zeros, .sizes = dims, .codec = TT_CODEC_MEMORY, .data = bytes, .nbytes = nbytes };
    const struct tt_entry entry = { .fqn = tt_arena_str(arena, fqn),
                                    .kind = TT_ENTRY_TENSOR,
                                    .dtype = dtype,
                                    .ndim = ndim,
                                    .shape = dims,
                                    .chunks = chunk,
                                    .nchunks = 1 };
    assert_ok(tt_entries_add(&ckpt->entries, &entry, &e_));
    return tt_entries_find(&ckpt->entries, fqn);
}

#define PUT(ckpt, fqn, dtype, data, ...) \
    put((ckpt), (fqn), (dtype), (int)COUNT(((int64_t[]){ __VA_ARGS__ })), (int64_t[]){ __VA_ARGS__ }, (data))

static const void *data_of(const struct tt_ckpt *ckpt, const char *fqn)
{
    const struct tt_entry *entry = tt_entries_find(&ckpt->entries, fqn);
    if (!entry)
        fail_msg("no tensor %s", fqn);
    return entry->chunks[0].data;
}

/* TorchTitan's checkpoint of a model: every tensor that the family has, random, below the prefix. */
static inline struct tt_ckpt *titan_ckpt(const struct model *m, const char *prefix)
{
    struct tt_ckpt *ckpt = new_ckpt();
    struct tt_arena *arena = &ckpt->entries.arena;
    struct tt_params params;

    assert_ok(tt_params_make(&params, arena, tt_family_find(m->family), &m->args, &e_));
    for (int i = 0; i < params.n; i++)
        put(ckpt, tt_arena_printf(arena, "%s%s", prefix, params.p[i].fqn), TT_F32, params.p[i].ndim, params.p[i].size, NULL);
    return ckpt;
}

/* What the recipe makes, in memory. */
static inline struct tt_ckpt *run(const struct tt_recipe *recipe)
{
    struct tt_ckpt *ckpt = new_ckpt();
    struct tt_assembler *assembler = NULL;

    assert_ok(tt_assembler_new(&assembler, NULL, NULL, &e_));
    for (size_t i = 0; i < recipe->n; i++) {
        const struct tt_output *o = &recipe->items[i].output;
        const struct tt_region all = tt_region_make(o->ndim, NULL, o->shape);
        void *data = calloc((size_t)numel_of(o->ndim, o->shape), tt_dtype_nbytes(o->dtype));
        assert_ok(tt_output_check(o, &e_));
        assert_ok(tt_assemble(assembler, o, &all, data, &e_));
        put(ckpt, recipe->items[i].fqn, o->dtype, o->ndim, o->shape, data);
        free(data);
    }
    tt_assembler_free(assembler);
    return ckpt;
}

static inline struct tt_ckpt *to_hf(struct tt_ckpt *tt, const struct tt_hf_opts *opts)
{
    struct tt_recipe recipe = { 0 };
    assert_ok(tt_hf_write_recipe(&recipe, tt, opts, &e_));
    struct tt_ckpt *hf = run(&recipe);
    tt_recipe_release(&recipe);
    return hf;
}

static inline struct tt_ckpt *from_hf(struct tt_ckpt *hf, const struct tt_hf_opts *opts)
{
    struct tt_recipe recipe = { 0 };
    assert_ok(tt_hf_read_recipe(&recipe, hf, opts, &e_));
    struct tt_ckpt *tt = run(&recipe);
    tt_recipe_release(&recipe);
    return tt;
}

static inline bool has(const struct tt_names *names, const char *fqn)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->items[i], fqn) == 0)
            return true;
    return false;
}

/* a has all of b's tensors, in their order, and they are equal; but for expert_bias where Hugging Face has none, which is zeros. */
static inline void assert_same(const struct tt_ckpt *a, const struct tt_ckpt *b, bool biases_are_lost)
{
    assert_int_equal(a->entries.n, b->entries.n);
    for (size_t i = 0; i < a->entries.n; i++) {
        const struct tt_entry *x = &a->entries.items[i], *y = &b->entries.items[i];
        const size_t nbytes = (size_t)numel_of(x->ndim, x->shape) * tt_dtype_nbytes(x->dtype);
        assert_string_equal(x->fqn, y->fqn);
        assert_int_equal(x->dtype, y->dtype);
        assert_int_equal(x->ndim, y->ndim);
        assert_memory_equal(x->shape, y->shape, (size_t)x->ndim * sizeof *x->shape);
        if (biases_are_lost && strstr(x->fqn, "expert_bias")) {
            for (size_t j = 0; j < nbytes; j++)
                assert_int_equal(((const uint8_t *)x->chunks[0].data)[j], 0);
            continue;
        }
        if (memcmp(x->chunks[0].data, y->chunks[0].data, nbytes) != 0)
            fail_msg("%s differs", x->fqn);
    }
}

/* A copy without one key. */
static inline struct tt_ckpt *without(const struct tt_ckpt *ckpt, const char *fqn)
{
    struct tt_ckpt *copy = new_ckpt();
    for (size_t i = 0; i < ckpt->entries.n; i++) {
        const struct tt_entry *e = &ckpt->entries.items[i];
        if (strcmp(e->fqn, fqn) != 0)
            put(copy, e->fqn, e->dtype, e->ndim, e->shape, e->chunks[0].data);
    }
    return copy;
}

#endif
