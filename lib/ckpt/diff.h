/* lib/ckpt/diff.h: in what two checkpoints differ, whatever their formats and shardings. */
#ifndef TT_CKPT_DIFF_H
#define TT_CKPT_DIFF_H

#include <stdio.h>

#include "ckpt/recipe.h"
#include "ckpt/task.h"

/* One side: what it holds, as a recipe makes it of a checkpoint: the identity, or a Hugging Face model under TorchTitan's names. */
struct tt_diff_side {
    const char *name; /* for the heading */
    const struct tt_recipe *recipe;
};

struct tt_diff_opts {
    bool close; /* numbers may differ, by atol and rtol, and dtypes too. Else all bits are the same */
    double atol, rtol;
    bool quiet; /* print nothing */
};

/* Prints a line for each key that differs, after a heading with both names, and one that counts them:
 *
 *     only in A: norm.weight: float32 (256)
 *     w: shape (2, 3), (3, 2)
 *     w: dtype float32, bfloat16
 *     w: 2 of 6 elements differ, by at most 0.5, first at [0,1]: 1.0, 1.5
 *     train_state.step: value 10, 20
 *
 * Nothing is printed where they are the same. Tensors are read piece by piece on both sides, the CRCs of what is read whole are checked.
 * Bytes that are pickles are compared by what is in them. */
TT_MUST_CHECK tt_status tt_diff(FILE *out, const struct tt_diff_side *a, const struct tt_diff_side *b, const struct tt_diff_opts *opts,
                                const struct tt_task *task, bool *same, struct tt_err *err);

/* |a - b|, of integers of 64 bits too, which a long double has room for; 0 where they are equal, infinities too. */
double tt_diff_by(long double a, long double b);

/* by <= atol + rtol * |b|, where by is |a - b|; infinities and NaN are close to themselves alone. */
bool tt_diff_is_close(double a, double b, double by, const struct tt_diff_opts *opts);

/* Whether two values are the same, or close. */
bool tt_value_close(const struct tt_value *a, const struct tt_value *b, const struct tt_diff_opts *opts);

#endif
