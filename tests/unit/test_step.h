/* How tests make a step that they have no doubts about. */
#ifndef TT_TESTS_TEST_STEP_H
#define TT_TESTS_TEST_STEP_H

#include "train/step.h"

static inline struct tt_step *make(const struct tt_step_opts *opts)
{
    struct tt_step *step = NULL;
    struct tt_err err = { 0 };

    if (tt_step_new(&step, opts, &err) != TT_OK)
        fail_msg("%s", err.msg);
    return step;
}

#endif
