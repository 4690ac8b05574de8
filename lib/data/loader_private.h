/* What loader.c, loader_state.c, loader_rest.c and ahead.c share. */
#ifndef TT_DATA_LOADER_PRIVATE_H
#define TT_DATA_LOADER_PRIVATE_H

#include "data/ahead.h"
#include "data/iterable.h"
#include "data/loader.h"
#include "data/rest.h"
#include "data/text.h"

/* Where a rank is: what TorchTitan's dataset and PyTorch's loader around it keep. */
struct tt_loader_pos {
    struct tt_tokens buffer; /* tokens not yet in a sequence, [head, n) */
    size_t head;
    int64_t sample_idx;     /* samples taken of this rank's part; streamed: of this pass, since the loader was made or restored */
    bool draining;          /* sequences come off the buffer until it is too short; false: first another sample */
    int64_t tried, yielded; /* batches asked for, and given */
    bool ended, finished;   /* the samples ran out; so did the batches */
};

struct tt_loader {
    struct tt_text *text;   /* one of the two */
    struct tt_iterable *it; /* a streamed dataset */
    const struct tt_tokenizer *tok;
    struct tt_encoder *enc;
    struct tt_loader_opts opts; /* strings owned */
    char *dataset, *path;
    int64_t first, nsamples; /* of the rank's part; nsamples -1: a pipe or streamed, as many as come */
    struct tt_loader_pos pos;
    bool fruitful;          /* some sample since the last end of the data gave a token, or there was no such end */
    struct tt_ahead *ahead; /* NULL: no batch was made ahead yet, or none is to be */
    struct tt_rest rest;    /* what is left of a pass that other ranks began; n 0: this rank's part is being read, as pos says */
    struct tt_iterable *rest_it; /* streamed: its streams[at] */
};

/* What tt_loader_next, tt_loader_state and tt_loader_rest do where nothing is made ahead. */
TT_MUST_CHECK tt_status tt_loader_make(struct tt_loader *l, int32_t *input, int32_t *labels, int64_t *nseq, struct tt_err *err);
TT_MUST_CHECK tt_status tt_loader_make_state(const struct tt_loader *l, struct tt_arena *a, struct tt_value **out,
                                             struct tt_err *err);
TT_MUST_CHECK tt_status tt_loader_make_rest(const struct tt_loader *l, struct tt_arena *a, struct tt_value **out,
                                            struct tt_err *err);

static inline size_t tt_loader_buffered(const struct tt_loader_pos *pos) { return pos->buffer.n - pos->head; }

static inline void tt_loader_stop_ahead(struct tt_loader *l)
{
    tt_ahead_free(l->ahead);
    l->ahead = NULL;
}

/* Of a rest that is being read: the next sample of a streamed one, NULL at its end, where the rest is over and this rank at the end of a
 * pass; or counts a sample that was taken of a map-style one, which then is over as soon as none is left. */
TT_MUST_CHECK tt_status tt_loader_rest_sample(struct tt_loader *l, const char **sample, size_t *nbytes, struct tt_err *err);
TT_MUST_CHECK tt_status tt_loader_rest_count(struct tt_loader *l, struct tt_err *err);
void tt_loader_end_rest(struct tt_loader *l);

#endif
