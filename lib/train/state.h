/* lib/train/state.h: what a training run is in the middle of, and its form in a checkpoint: TorchTitan's keys and values.
 *
 *   train_state.step, .ntokens_seen                     ints
 *   optimizer.state.<fqn>.step, .exp_avg, .exp_avg_sq   tensors; step is a float32 scalar, the others have the parameter's type
 *   optimizer.param_groups.<fqn>.<setting>              12 values a parameter, the same for all of them; both for every parameter, also
 *                                                       with optimizer.early_step_in_backward, where TorchTitan saves the first's alone
 *   dataloader.dp_rank_<r>, .world_size                 a pickle in bytes; int. Or, where other ranks began the pass over the data,
 *   dataloader.titan_position                           a dict (data/rest.h)
 *   dataloader.titan_validation, or of several ranks    (.dp_rank_<r> behind it)
 *                                                       a dict, with validation alone: version 1, of several ranks their number (ranks), the dataloader's position, and whether the
 *                                                       step's validation, which is after its save, was yet to come (due)
 *   lr_scheduler.base_lrs, .last_epoch, ._step_count, ._is_initial, ._get_lr_called_within_step, ._last_lr
 *   <fqn>                                               the parameters */
#ifndef TT_TRAIN_STATE_H
#define TT_TRAIN_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/names.h"
#include "base/pool.h"
#include "ckpt/load.h"
#include "ckpt/save.h"
#include "config/config.h"
#include "data/loader.h"
#include "train/lr.h"

/* The parts that a checkpoint can be loaded by (checkpoint.exclude_from_loading), in the order that TorchTitan saves them. */
enum tt_state_part {
    TT_STATE_TRAIN = 1,
    TT_STATE_OPTIMIZER = 2,
    TT_STATE_DATALOADER = 4,
    TT_STATE_LR = 8,
    TT_STATE_MODEL = 16,
    TT_STATE_ALL = 31,
};

/* By the name in a checkpoint ("lr_scheduler"); 0: no such part. */
unsigned tt_state_part_find(const char *name);
/* Their names, with commas in between. */
void tt_state_part_names(struct tt_buf *out, unsigned parts);

/* A parameter group as PyTorch's Adam keeps it. TorchTitan has one; a checkpoint repeats it for each parameter. */
struct tt_param_group {
    double lr, beta1, beta2, eps, weight_decay, initial_lr;
    bool amsgrad, maximize, foreach, capturable, differentiable, fused, decoupled_weight_decay;
};

/* Of [optimizer], before the first step: lr is that of the schedule's start. */
struct tt_param_group tt_param_group_make(const struct tt_config_optimizer *config, double lr);

struct tt_state_tensor {
    const char *fqn;
    enum tt_dtype dtype;
    int ndim;
    const int64_t *shape;
    const int64_t *offsets, *sizes;      /* (ndim) of this rank's part; both NULL: all of it */
    void *weight, *exp_avg, *exp_avg_sq; /* row-major, of `sizes`; the last two NULL where only the model is saved */
};

struct tt_train_state {
    const struct tt_state_tensor *tensors; /* in state_dict order */
    size_t ntensors;
    int64_t optimizer_steps;
    struct tt_param_group group;
    struct tt_lr lr;
    struct tt_loader *loader; /* NULL: nothing to save or load of it */
    struct tt_loader *validation; /* the same */
    bool validation_due;          /* of this step */
    int dp_rank, dp_world;
    bool one_position; /* in the data, of all ranks together: */
    const struct tt_value *position; /* which the rank has that saves it; NULL on the others */
    int64_t step, ntokens_seen;
};

/* The items of a save, in the arena but for the tensors' data. */
TT_MUST_CHECK tt_status tt_state_items(struct tt_save_item **items, size_t *nitems, struct tt_arena *arena,
                                       const struct tt_train_state *state, unsigned parts, struct tt_err *err);

/* The model as an open checkpoint, in the state's own memory. */
TT_MUST_CHECK tt_status tt_state_open_model(struct tt_ckpt **out, const struct tt_train_state *state, struct tt_err *err);

/* Which parts a checkpoint has anything of. */
unsigned tt_state_parts_in(const struct tt_entries *entries);

/* Whether the checkpoint's files are there and the parts' values can be read, before anything is taken of it. Tensors are
 * checked as they are loaded. */
TT_MUST_CHECK tt_status tt_state_check(struct tt_ckpt *ckpt, unsigned parts, struct tt_err *err);

/* What a checkpoint has that loading these parts leaves out: tensors of theirs that the state does not have; and how many of the others
 * are cast. Both are known before anything is read. */
TT_MUST_CHECK tt_status tt_state_compare(struct tt_names_text *unexpected, size_t *nrecast, const struct tt_train_state *state,
                                         const struct tt_ckpt *ckpt, unsigned parts, struct tt_err *err);

/* Reads the parts; every key of them must be there. After a failure the state is not to be used. TT_EUNSUPPORTED: an optimizer
 * that titan does not have (amsgrad, maximize), parameters whose groups or step counts differ or that have none where others do.
 * shares: tt_ckpt_load_share's. */
TT_MUST_CHECK tt_status tt_state_load(struct tt_train_state *state, struct tt_ckpt *ckpt, unsigned parts, struct tt_pool *pool,
                                      struct tt_buf *shares, struct tt_err *err);

/* Goes to the checkpoint's position in the validation data, where both have one. Where it is not such a position, or not one of this
 * data, nothing is changed. */
TT_MUST_CHECK tt_status tt_state_load_validation(struct tt_train_state *state, struct tt_ckpt *ckpt, struct tt_err *err);

/* The model alone, of what a recipe makes; name: of its input, for messages. */
TT_MUST_CHECK tt_status tt_state_load_model(struct tt_train_state *state, struct tt_recipe *recipe, const char *name,
                                            struct tt_pool *pool, struct tt_err *err);

#endif
