/* lib/ckpt/recipe.h: what a checkpoint tool makes of its input: output tensors, each put together from regions of input tensors,
 * and values.
 *
 * dcp2pt is the identity with a .pt file behind it; saving is the identity out of memory, loading the identity into it; a family's
 * name map is a recipe with parts that are permuted, transposed, stacked or dequantized on the way. */
#ifndef TT_CKPT_RECIPE_H
#define TT_CKPT_RECIPE_H

#include "base/map.h"
#include "ckpt/ckpt.h"

/* How the stored elements of a part become numbers. */
enum tt_quant {
    TT_QUANT_NONE,
    TT_QUANT_BLOCK128, /* out[r,c] = float32(src[r,c]) * scales[r/128, c/128]; 2-D, scales float32 (ceil(R/128), ceil(C/128)):
                        * DeepSeek's weight_scale_inv */
    TT_QUANT_MXFP4,    /* src uint8 (.., R, G, B), scales uint8 (.., R, G) -> (.., R, G*B*2) in float32: the low nibble first,
                        * times 2^(scale-127) (OCP Microscaling Formats, E2M1 with E8M0). Scale 255, there NaN, is 2^128 as in
                        * transformers */
};

/* Where the elements of a part go, after that. */
enum tt_map_kind {
    TT_MAP_SAME,
    TT_MAP_TRANSPOSE, /* the last two dimensions change places */
    TT_MAP_HALVES,    /* rows (dimension 0) of each head of `head` rows, from Llama's interleaved pairs to halves:
                       * out row h*head + j*head/2 + k = src row h*head + 2k + j, j in {0, 1} */
    TT_MAP_PAIRS,     /* and back */
};

/* A box of an input and where it goes. An input and an output may differ in their number of dimensions: they are aligned at the
 * right, and the leading dimensions that only one of them has are of size 1 in the box (an expert in a stack of them). All pointers
 * are (ndim) of the tensor that they speak of; those in the input are in the coordinates that it has after quant and map. Quant
 * makes float32 of any input; whatever comes out of it is cast to the output's dtype last. */
struct tt_part {
    struct tt_ckpt *ckpt;          /* of src and scales; NULL: the copy's own */
    const struct tt_entry *src;    /* a tensor; NULL: zeros, of any size */
    const struct tt_entry *scales; /* for quant */
    enum tt_quant quant;
    enum tt_map_kind map;
    int64_t head;         /* rows of a head, for HALVES and PAIRS */
    const int64_t *from;  /* in src; NULL: zeros */
    const int64_t *to;    /* in the output; NULL: zeros */
    const int64_t *sizes; /* (ndim of the output) NULL: the whole of src; the whole output where that is NULL */
};

struct tt_output {
    const char *fqn;
    enum tt_dtype dtype; /* parts of another dtype are cast (tt_cast_supported) */
    int ndim;
    const int64_t *shape;
    const struct tt_part *parts; /* together they cover the output once, but see weights */
    size_t nparts;
    /* (nparts) or NULL. Not NULL: each part covers the whole output, which is their weighted mean: the sum, in the parts' order,
     * over that of the weights, which is not 0; in float64, or long double where a part is float64, then cast to dtype. */
    const double *weights;
};

/* The output that is its one input. `part` is the caller's storage, and lives as long as the output. */
struct tt_output tt_output_identity(const struct tt_entry *src, struct tt_part *part);

/* Whether the part is elements of its source as they are, neither moved among dimensions nor computed. */
bool tt_part_is_plain(const struct tt_output *output, const struct tt_part *part);
/* The region of a plain part's source that gives this region of the output, where the part has it. */
struct tt_region tt_part_source(const struct tt_part *part, const struct tt_region *region);

/* A region of an output: what is written in one place. */
struct tt_output_box {
    const struct tt_output *output;
    const int64_t *offsets, *sizes; /* (ndim); NULL: zeros, the whole shape */
};

struct tt_region tt_output_box_region(const struct tt_output_box *box);

/* A chunk of an item and the file that holds it: an index into the target's files (lib/ckpt/write.h). */
struct tt_placed {
    const int64_t *offsets, *sizes; /* (ndim); both NULL: the whole item */
    uint32_t file;
};

/* One key of the output. */
struct tt_recipe_item {
    const char *fqn;
    const struct tt_path_part *path; /* (npath) where it sits in the nested state dict; npath 0: the fqn itself is the path */
    uint32_t npath;
    enum tt_entry_kind kind;
    bool requires_grad;
    struct tt_output output;        /* TENSOR */
    struct tt_ckpt *ckpt;           /* VALUE: of `entry` */
    const struct tt_entry *entry;   /* VALUE: an input's, or NULL: */
    const struct tt_value *value;   /* VALUE: made here */
    const struct tt_placed *placed; /* (nplaced); NULL: whole, in file 0 */
    uint32_t nplaced;
};

/* A list of keys, for the messages at the end of a run. */
struct tt_names {
    const char **items;
    size_t n, cap;
};

struct tt_recipe {
    struct tt_arena arena; /* what the items point to, where it is not an input's */
    struct tt_recipe_item *items;
    size_t n, cap;
    struct tt_map by_fqn;
    /* What did not fit one to one. Missing: the family has it, the input does not (and how it was filled is said by who made the
     * recipe). Unused: in the input, in no output. Reshaped and recast: of another shape or dtype than in the input. */
    struct tt_names missing, unused, reshaped, recast;
};

void tt_recipe_release(struct tt_recipe *recipe); /* fine on a zeroed struct */

/* Appends; TT_EINVAL on a second item of the same fqn. The item's pointers are borrowed. */
TT_MUST_CHECK tt_status tt_recipe_add(struct tt_recipe *recipe, const struct tt_recipe_item *item, struct tt_err *err);

/* The identity: appends the entry as it is (a tensor with one identity part, or a value). */
TT_MUST_CHECK tt_status tt_recipe_add_entry(struct tt_recipe *recipe, struct tt_ckpt *ckpt, const struct tt_entry *entry,
                                            struct tt_err *err);

/* After items got other names or were taken out. TT_EINVAL: two have the same fqn. */
TT_MUST_CHECK tt_status tt_recipe_reindex(struct tt_recipe *recipe, struct tt_err *err);

struct tt_recipe_item *tt_recipe_find(const struct tt_recipe *recipe, const char *fqn); /* NULL: none */

/* Notes a key (copied into the recipe's arena) in one of the lists. */
TT_MUST_CHECK tt_status tt_recipe_note(struct tt_recipe *recipe, struct tt_names *names, const char *fqn, struct tt_err *err);

#endif
