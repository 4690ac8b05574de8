/* lib/data/rest.h: what is left of a pass over the data where the number of data-parallel ranks changes in its middle.
 *
 * A rank that reads its part of the samples is a stream: tokens that it has not yet put into a sequence, and then the samples that it
 * has not taken. A position is the streams of all ranks; ranks of another number share them:
 *
 *   {version: 1, ranks: [[{part, parts, sample_idx, end, token_buffer: [...]}, ...], ...]}
 *
 * ranks has a list for each rank that saved it, of its streams in the order in which it reads them: samples sample_idx to end (None: to
 * its last) of part `part` of `parts` of all samples (loader.h), after the tokens of token_buffer. As many ranks as there are lists take
 * over a list each. Any other number W has the samples of all streams, in the order of the lists, in W contiguous runs, the
 * first ones one longer; the tokens of a stream go with its first sample, or where none is left with the one after it, or with the
 * last rank. Who is through with that goes on with its part of the next pass. So every sample of a pass is taken once.
 *
 * A streamed dataset's samples are not counted. Its stream is
 *
 *   {part, parts, [worker, workers,] data, skip, stride, token_buffer}
 *
 * data: where rank `part` of `parts` is, or its worker `worker` of `workers` that each read files of their own (iterable.h); of the samples from there on `skip` are passed over, then every stride-th is the
 * stream's. Ranks of another number W take the samples of each stream by turns: those of the i-th, and its tokens, begin with rank
 * i mod W. */
#ifndef TT_DATA_REST_H
#define TT_DATA_REST_H

#include "base/arena.h"
#include "data/tokenizer.h"
#include "value/value.h"

/* The r-th of w contiguous parts of n samples; the first n % w have one more. */
struct tt_data_part {
    int64_t first, n;
};
struct tt_data_part tt_data_part(int64_t n, int64_t r, int64_t w);

struct tt_stream {
    int64_t part, parts;
    int64_t first;     /* the part's first sample, of all */
    int64_t next, end; /* samples of the part; streamed: not set */
    const struct tt_value *data; /* streamed: in the arena of the rest */
    int64_t worker, workers;     /* streamed; else 0 of 1 */
    int64_t skip, stride;
    struct tt_tokens buffer;
};

struct tt_rest {
    struct tt_stream *streams; /* (n) */
    size_t n, at;              /* streams[at] is being read; n 0: nothing is left */
    struct tt_arena arena;
};

void tt_rest_release(struct tt_rest *rest); /* fine on a zeroed struct */

/* Rank r of w's share of a position, for data of n samples (-1: streamed) and tokens below ntokens. `what` names it in messages. TT_EFORMAT: not such a
 * value, or one that goes beyond the data. */
TT_MUST_CHECK tt_status tt_rest_share(struct tt_rest *out, const struct tt_value *position, int64_t n, int r, int w, int64_t ntokens,
                                      const char *what, struct tt_err *err);

/* One rank's list of streams, from streams[at] on; buffer (nbuffer) and, streamed, data stand for those of streams[at]. NULL: no memory. */
struct tt_value *tt_rest_value(const struct tt_rest *rest, const int32_t *buffer, size_t nbuffer, const struct tt_value *data,
                               int64_t n, struct tt_arena *arena);

#endif
