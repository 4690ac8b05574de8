/* lib/ckpt/output_private.h: what output.c, output_check.c, part.c and quant.c share.
 *
 * An input has three forms: `stored` as its chunks hold it, `numbers` after quant, and `mapped` after map, which recipe.h speaks
 * of. A TRANSPOSE exchanges the last two dimensions between the last two; HALVES and PAIRS move rows. */
#ifndef TT_CKPT_OUTPUT_PRIVATE_H
#define TT_CKPT_OUTPUT_PRIVATE_H

#include "ckpt/output.h"

enum {
    TT_QUANT_BLOCK = 128, /* rows and columns that share a scale, in BLOCK128 */
    TT_SCALES_NBYTES = 1 << 18,
    TT_TILE = 128, /* rows and columns of what is turned at a time: both sides stay in the cache */
    TT_SUMS = 1 << 15,
    TT_LONG_SUMS = TT_SUMS / 2,
};

struct tt_assembler {
    struct tt_ckpt *own;
    struct tt_verify *verify;
    struct tt_reader **readers; /* one a checkpoint */
    size_t nreaders;
    bool exact;             /* they read so */
    uint8_t *raw, *scratch; /* (TT_BLOCK_NBYTES) stored elements; the readers'. NULL until they are needed. */
    uint8_t scales[TT_SCALES_NBYTES];
    uint8_t tile[TT_TILE * TT_TILE * 8]; /* of the widest dtype that is cast to */
    union {
        double sums[TT_SUMS];
        long double long_sums[TT_LONG_SUMS]; /* where a part is float64 */
    };
    double terms[TT_SUMS]; /* of a weighted output */
};

/* The reader of a part's checkpoint, made where it is new. */
TT_MUST_CHECK tt_status tt_assembler_reader(struct tt_assembler *assembler, const struct tt_part *part, struct tt_reader **out,
                                            struct tt_err *err);

/* --- geometry (output_check.c) ------------------------------------------------------------------------------------------------ */

/* The dtype of a part's numbers: float32 after quant, else the stored one. src is not NULL. */
enum tt_dtype tt_part_dtype(const struct tt_part *part);

/* The shape of a part's input, mapped. False where it does not fit in an int64, or the quant asks for more dimensions than the
 * input has. src is not NULL. */
bool tt_part_shape(const struct tt_part *part, int *ndim, int64_t *shape);

/* Where a part goes, in the output; false where tt_part_shape says so, or the dimensions do not align. */
bool tt_part_box(struct tt_region *box, const struct tt_output *output, const struct tt_part *part);

/* Row r of the mapped input is this row of the numbers (HALVES, PAIRS). */
int64_t tt_part_row(const struct tt_part *part, int64_t r);

/* --- a part (part.c) ---------------------------------------------------------------------------------------------------------- */

/* Where elements go: dst[i * strides], i counted from the first of a box; strides in elements. */
struct tt_place {
    uint8_t *dst;
    int64_t strides[TT_NDIM_MAX];
};

/* The elements of `common`, a box of the output inside the part's, as `to`; place is of the output's dimensions. */
TT_MUST_CHECK tt_status tt_part_fill(struct tt_assembler *assembler, const struct tt_output *output, const struct tt_part *part,
                                     enum tt_dtype to, const struct tt_region *common, const struct tt_place *place,
                                     struct tt_err *err);

/* --- quant (quant.c) ---------------------------------------------------------------------------------------------------------- */

/* Stored elements and scales in memory, row-major: enough for a box of numbers. */
struct tt_loaded {
    const struct tt_part *part;
    struct tt_region src, scale; /* the boxes of src and scales */
    const uint8_t *raw;
    const float *block_scales;  /* BLOCK128 */
    const uint8_t *group_scales; /* MXFP4 */
};

/* Which boxes of src and scales the numbers in box are made of. */
void tt_quant_boxes(const struct tt_part *part, const struct tt_region *box, struct tt_region *src, struct tt_region *scale);

/* The n numbers of one row that start at `at`, which are loaded, as `to`. */
void tt_quant_row(const struct tt_loaded *loaded, const int64_t *at, int64_t n, enum tt_dtype to, uint8_t *dst);

/* The place of `at` in a box that lies row-major in memory, in elements. */
int64_t tt_region_index(const struct tt_region *box, const int64_t *at);

#endif
