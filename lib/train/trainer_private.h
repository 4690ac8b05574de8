/* lib/train/trainer_private.h: a run of one rank, as its parts see it. */
#ifndef TT_TRAIN_TRAINER_PRIVATE_H
#define TT_TRAIN_TRAINER_PRIVATE_H

#include "train/checkpoint.h"
#include "train/memory_snapshot.h"
#include "train/metrics.h"
#include "train/profiler.h"
#include "train/ranks.h"
#include "train/state.h"
#include "train/step.h"
#include "train/trainer.h"
#include "train/validator.h"

struct tt_trainer {
    const struct tt_config *config;
    const struct tt_log *log; /* of rank 0; NULL on the others */
    const struct tt_trainer_opts *opts;
    struct tt_arena arena;
    struct tt_pool *pool;

    struct tt_ranks ranks;
    struct tt_comm *comm[TT_NQ]; /* NULL: of a group of one */
    struct tt_region *part;      /* (params.n) of each parameter what is here */
    bool stop;                   /* a rank was told to stop, as all of them know since the last step */
    bool interrupted;            /* by SIGINT */

    const struct tt_family *family;
    struct tt_model_args args;
    struct tt_params params; /* of the family's table; in the arena */
    enum tt_dtype dtype;
    void **weight; /* (params.n) the step's, or `owned` where there is no step */
    bool owned;

    struct tt_tokenizer *tokenizer;
    struct tt_loader *loader;
    struct tt_step *step;
    struct tt_validator validator;
    int nmicrobatches;

    struct tt_lr_schedule schedule;
    struct tt_train_state state;
    struct tt_checkpointer checkpointer;
    struct tt_metrics metrics;
    struct tt_profiler profiler;
    struct tt_memory_snapshot snapshot;
};

#define INFO(t, ...) tt_log_line((t)->log, TT_LOG_INFO, __VA_ARGS__)
#define WARN(t, ...) tt_log_line((t)->log, TT_LOG_WARNING, __VA_ARGS__)

/* First, of a zeroed one with config, log and opts: the ranks meet, watch each other and find whether they do the same. */
TT_MUST_CHECK tt_status tt_trainer_begin(struct tt_trainer *t, struct tt_world *world, int64_t nranks, struct tt_err *err);
/* Then: data, model, step and state, up to the checkpointer. */
TT_MUST_CHECK tt_status tt_trainer_build(struct tt_trainer *t, struct tt_err *err);
/* Last, whatever failed. */
void tt_trainer_release(struct tt_trainer *t);

/* Not before it is known that no checkpoint has them: of a large model they take minutes. */
TT_MUST_CHECK tt_status tt_trainer_draw_weights(struct tt_trainer *t, struct tt_err *err);
void tt_trainer_say_precision(const struct tt_trainer *t);
/* What a step would take, and none of it. */
bool tt_trainer_only_plans(const struct tt_config *config);

#endif
