/* lib/data/loader.h: the batches of one data-parallel rank and the position among them, as TorchTitan's dataloader has them.
 *
 *   samples of this rank   map-style (c4_test): of n samples and W ranks, rank r has the r-th run of n / W, the first n % W ranks one
 *                          more; streamed (c4, c4_validation): as iterable.h says
 *   a sample's tokens      BOS text EOS (tokenizer.h), all samples one after another in one buffer
 *   a sequence             seq_len + 1 tokens off the front of the buffer: input the first seq_len, labels the last seq_len (the
 *                          token between two sequences is thus a label of one and an input of none)
 *   a batch                local_batch sequences; fewer only at the end of a loader that is not infinite
 *
 * Each new sequence is looked for after a sample was added, so the rest of a buffer shorter than seq_len + 1 stays there, across
 * the end of the data too where the loader is infinite. Labels are never the ignored index here. Batches carry no positions. */
#ifndef TT_DATA_LOADER_H
#define TT_DATA_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "data/tokenizer.h"
#include "value/value.h"

struct tt_loader;

struct tt_loader_opts {
    const char *dataset; /* a name that tt_dataset_find knows */
    const char *path;    /* a source as text.h has it */
    int64_t seq_len, local_batch;
    int dp_rank, dp_world;
    int nranks;     /* that read the path, where several have the same dp_rank; else it may be 0 */
    int64_t nahead; /* batches that a thread makes ahead; 0: each is made when it is asked for. The batches are the same. */
    bool infinite;  /* start over at the end of the data */
    const struct tt_log *log; /* borrowed; "Dataset c4_test is being re-looped"; may be NULL */
};

/* tok is borrowed and must outlive the loader; the strings of opts are copied. TT_EINVAL: a rank without samples, a pipe that
 * several ranks would read. */
TT_MUST_CHECK tt_status tt_loader_new(struct tt_loader **out, const struct tt_tokenizer *tok, const struct tt_loader_opts *opts,
                                      struct tt_err *err);
void tt_loader_free(struct tt_loader *loader);

/* The next batch: input and labels are (local_batch, seq_len), row-major. *nseq is the number of rows filled: local_batch, or
 * fewer in the last batch of a finite loader, 0 after that. */
TT_MUST_CHECK tt_status tt_loader_next(struct tt_loader *loader, int32_t *input, int32_t *labels, int64_t *nseq,
                                       struct tt_err *err);

/* Begins an iteration, as TorchTitan's iter() of its dataloader: a streamed dataset from its first sample, any other from where it is,
 * but one that is through from its first again (TorchTitan finds nothing there). The buffer stays; the next batch takes another sample
 * before it empties it. TT_EINVAL: a pipe that is through. */
TT_MUST_CHECK tt_status tt_loader_restart(struct tt_loader *loader, struct tt_err *err);

/* The position after the last batch, in the nine-key form of PyTorch's StatefulDataLoader (one process):
 *   {_index_sampler_state: None, _sampler_iter_state: {samples_yielded}, _sampler_iter_yielded, _num_yielded,
 *    _IterableDataset_len_called: None, _shared_seed: None, fetcher_state: {dataset_iter_state: None, fetcher_ended},
 *    dataset_state: {token_buffer: [...], sample_idx}, _iterator_finished}
 * where a streamed dataset has `data`, its position as in iterable.h, in the place of sample_idx.
 * A checkpoint keeps it pickled under dataloader.dp_rank_<r>, beside dataloader.world_size. The value lives in arena. */
TT_MUST_CHECK tt_status tt_loader_state(const struct tt_loader *loader, struct tt_arena *arena, struct tt_value **out,
                                        struct tt_err *err);

/* Goes to such a position, titan's or TorchTitan's, also of one with workers (_snapshot): that of its first worker, which is as far as
 * any. As there, the first batch after it takes another sample before it empties
 * the buffer: the same tokens, though the state saved then has a longer buffer than without the interruption. `what` names the
 * value in messages (a checkpoint's path and key). TT_EFORMAT: not of this form, or beyond this rank's samples; the loader is
 * then as before, but for what was made ahead, which is lost. */
TT_MUST_CHECK tt_status tt_loader_restore(struct tt_loader *loader, const struct tt_value *state, const char *what,
                                          struct tt_err *err);

/* Where the loader reads what is left of a pass that other ranks began: this rank's list of streams (rest.h), in the arena, which then
 * stands for the position above. *out NULL: it does not. */
TT_MUST_CHECK tt_status tt_loader_rest(const struct tt_loader *loader, struct tt_arena *arena, struct tt_value **out,
                                       struct tt_err *err);

/* Goes to this rank's share of such a position, of any number of ranks. Sequences come off its tokens as long as these suffice, before
 * a sample is taken. TT_EFORMAT: not of this form, or beyond the data; TT_EUNSUPPORTED: a pipe. */
TT_MUST_CHECK tt_status tt_loader_restore_rest(struct tt_loader *loader, const struct tt_value *position, const char *what,
                                               struct tt_err *err);

/* The datasets that training.dataset names, in any case. NULL: none of that name. */
struct tt_dataset {
    const char *name, *path;    /* path: where TorchTitan looks without a training.dataset_path */
    const char *config, *split; /* of a folder (files.h) */
    bool is_streamed;           /* read as iterable.h says, else as text.h; a pipe is always the latter */
};
const struct tt_dataset *tt_dataset_find(const char *name);

/* Which path a dataset with its dataset_path (NULL: unset) means, settings of `section`. TT_EINVAL: a name that TorchTitan does not
 * know; TT_EUNSUPPORTED: one that would be streamed over a network. *path is borrowed from the argument or static. */
TT_MUST_CHECK tt_status tt_dataset_path(const char **path, const char *section, const char *dataset, const char *dataset_path,
                                        struct tt_err *err);

/* Document ids of a batch, for masks: doc[b, t] = how many of input[b, 0..t-1] are eos, so that EOS ends its own document; input
 * and doc (nseq, seq_len). */
void tt_document_ids(int32_t *doc, const int32_t *input, int64_t nseq, int64_t seq_len, int32_t eos);

#endif
