/* lib/data/samples.h: the samples of one file, one after another, as JSON text.
 *
 * A file is JSON lines, one object each, empty lines being no samples; or one JSON array (its first byte that is no white space is a
 * '['), whose elements are the samples. A byte order mark at its start does not count. */
#ifndef TT_DATA_SAMPLES_H
#define TT_DATA_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct tt_samples;

/* path as stream.h has it. */
TT_MUST_CHECK tt_status tt_samples_open(struct tt_samples **out, const char *path, struct tt_err *err);
void tt_samples_close(struct tt_samples *samples);

/* The next one's text, valid until the next call; NULL at the end. TT_EFORMAT: what stream.h says, and an array that is cut short or
 * has something else between its elements or behind it. */
TT_MUST_CHECK tt_status tt_samples_next(struct tt_samples *samples, const char **json, size_t *nbytes, struct tt_err *err);
uint64_t tt_samples_line(const struct tt_samples *samples); /* that the last one ended on, from 1 */

/* The text of a sample that tt_samples_next gave, UTF-8, which may hold NULs; a NUL that does not count follows. Replaces out's content.
 * TT_EFORMAT with file and line: as in jsonl.h. */
TT_MUST_CHECK tt_status tt_samples_text(struct tt_buf *out, const struct tt_samples *samples, const char *json, size_t nbytes,
                                        struct tt_err *err);
bool tt_samples_is_array(const struct tt_samples *samples);

/* How many samples begin within the next nbytes + 1 bytes, which are read ahead; all that are left of an array. */
TT_MUST_CHECK tt_status tt_samples_ahead(struct tt_samples *samples, size_t nbytes, int64_t *count, struct tt_err *err);

/* Places to come back to: none (false) in compressed files, pipes and arrays. The next sample is looked for from here on. */
struct tt_samples_mark {
    uint64_t offset, line;
};
bool tt_samples_mark(const struct tt_samples *samples, struct tt_samples_mark *mark);
TT_MUST_CHECK tt_status tt_samples_seek(struct tt_samples *samples, struct tt_samples_mark mark, struct tt_err *err);

#endif
