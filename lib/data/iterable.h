/* lib/data/iterable.h: samples of text that are streamed, never counted: what load_dataset(path, streaming=True) and
 * split_dataset_by_node(..., rank, world) give, and the position among them in the form of IterableDataset.state_dict (datasets 5.2).
 *
 *   order    the files of the split (files.h); in pass e > 0 shuffled as shuffle.h says with seed e
 *   a rank   where world divides the number of files: files rank, rank + world, ... ; else each world-th sample, from number rank on
 *   a worker of its files number worker, worker + workers, ... (as each worker process of PyTorch's loader reads them)
 *   a table  what is read at a time: 10 MiB of a file and on to the end of the line, or an array whole
 *
 * The position counts in tables, each of whose samples is a chunk to `datasets`:
 *
 *   {examples_iterable: {examples_iterable: BASE, previous_state: BASE, batch_idx, num_chunks_since_previous_state,
 *                        cropped_chunk_length: 0, type: "RebatchedArrowExamplesIterable"}, epoch}
 *   BASE    {shard_idx, shard_example_idx, type: "ArrowExamplesIterable"}: file of the rank, samples behind the end of a table
 *           {examples_iterable: BASE, stepped, type: "StepExamplesIterable"}: where samples are taken by turns; stepped counts all
 *           samples, mod world
 *
 * The next sample is the one after num_chunks_since_previous_state of this rank's from previous_state on. Where the columns are not
 * known beforehand, because the first file is an array and no README.md has them, there are no tables: previous_state is None, and
 * shard_example_idx of the inner BASE counts samples. */
#ifndef TT_DATA_ITERABLE_H
#define TT_DATA_ITERABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "value/value.h"

struct tt_iterable;

/* Of a data-parallel rank, and of one of its workers: {rank, world, 0, 1} is all of the rank's. */
struct tt_iterable_part {
    int64_t rank, world, worker, workers;
};

/* path: a folder or a file, no pipe. TT_ENOENT as in files.h. */
TT_MUST_CHECK tt_status tt_iterable_open(struct tt_iterable **out, const char *path, const char *config, const char *split,
                                         struct tt_iterable_part part, struct tt_err *err);
void tt_iterable_free(struct tt_iterable *it);

/* The next sample's text as tt_samples_text gives it, valid until the next call; NULL at the end of the pass. */
TT_MUST_CHECK tt_status tt_iterable_next(struct tt_iterable *it, const char **sample, size_t *nbytes, struct tt_err *err);

/* To the start of this pass, of the next one; to the end of some pass. */
void tt_iterable_restart(struct tt_iterable *it);
void tt_iterable_next_epoch(struct tt_iterable *it);
void tt_iterable_end(struct tt_iterable *it, int64_t epoch);

/* The position after the last sample. NULL: no memory. */
struct tt_value *tt_iterable_state(const struct tt_iterable *it, struct tt_arena *arena);

/* Goes to such a position; null: to the start. TT_EFORMAT: not of this form, of other ranks or files, or beyond them; `it` is then as
 * before, but where it can no longer read a file. */
TT_MUST_CHECK tt_status tt_iterable_restore(struct tt_iterable *it, const struct tt_value *state, const char *what,
                                            struct tt_err *err);

#endif
