/* lib/train/ranks.h: a rank among the others of a run: its place in the mesh, and what ranks say to each other outside of a step.
 *
 * Each function that is said to be `together` is called by all ranks, in the same order, and waits for them. An error on its own way
 * there is the others' too (tt_world_abort). */
#ifndef TT_TRAIN_RANKS_H
#define TT_TRAIN_RANKS_H

#include "base/buf.h"
#include "comm/comm.h"
#include "comm/mesh.h"
#include "comm/watchdog.h"
#include "config/config.h"
#include "convert/job.h"

struct tt_ranks {
    struct tt_world *world; /* borrowed */
    struct tt_job job;      /* what of the model lies where */
    struct tt_mesh mesh;
    struct tt_watchdog *watchdog; /* borrowed, and set by who starts one; NULL: none */
    struct tt_comm *all;
    struct tt_comm *loss; /* those that a loss is summed over; NULL: this one alone, or tt_ranks_meet has not been called */
};

/* Together: of [model] and [parallelism] the job, of nranks: the world's, or, in a world of one, any, of which this is the first and the
 * others are only planned for. world and config are borrowed. TT_EINVAL: TorchTitan's rules about degrees and the family's; on all ranks
 * the same. */
TT_MUST_CHECK tt_status tt_ranks_open(struct tt_ranks *out, struct tt_world *world, int64_t nranks, const struct tt_config *config,
                                      struct tt_err *err);
/* Together, once all are known to have the same settings: where degrees differ nobody would come to some groups. */
TT_MUST_CHECK tt_status tt_ranks_meet(struct tt_ranks *ranks, struct tt_err *err);
/* Together: when all have come there. what: borrowed for good. */
TT_MUST_CHECK tt_status tt_ranks_await(const struct tt_ranks *ranks, const char *what, struct tt_err *err);
void tt_ranks_close(struct tt_ranks *ranks); /* fine on a zeroed struct */

static inline bool tt_ranks_is_first(const struct tt_ranks *r) { return r->world->rank == 0; }

/* A communicator of the rank's group in a dimension. */
TT_MUST_CHECK tt_status tt_ranks_group(struct tt_comm **out, const struct tt_ranks *ranks, enum tt_mesh_dim dim, const char *name,
                                       struct tt_err *err);

/* Together, over all ranks: v[i] becomes their sum; rank 0's bytes become all ranks'. */
TT_MUST_CHECK tt_status tt_ranks_sum(const struct tt_ranks *ranks, int64_t *v, int64_t n, struct tt_err *err);
TT_MUST_CHECK tt_status tt_ranks_broadcast(const struct tt_ranks *ranks, void *bytes, size_t nbytes, struct tt_err *err);

/* Together: TT_OK where it is every rank's status; else the error of the first rank with another, with its number before it on the
 * others. *err is this rank's. */
TT_MUST_CHECK tt_status tt_ranks_agree(const struct tt_ranks *ranks, tt_status status, struct tt_err *err);

/* Together: rank 0 gets each rank's bytes; parts (size) are empty before, and stay so on the others. */
TT_MUST_CHECK tt_status tt_ranks_gather(const struct tt_ranks *ranks, const void *bytes, size_t nbytes, struct tt_buf *parts,
                                        struct tt_err *err);

/* Together, over the ranks of TT_MESH_LOSS. */
TT_MUST_CHECK tt_status tt_ranks_reduce_loss(const struct tt_ranks *ranks, enum tt_reduce_op op, float *loss, struct tt_err *err);

/* Without the files of a run that are rank 0's alone: the settings of every other rank. */
void tt_ranks_write_nothing(struct tt_config *config);

#endif
