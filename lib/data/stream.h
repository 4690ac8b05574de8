/* lib/data/stream.h: lines of a file, plain or compressed, or of standard input, through a buffer of bounded size. */
#ifndef TT_DATA_STREAM_H
#define TT_DATA_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { TT_LINE_BYTES_MAX = 256 * 1024 * 1024 }; /* a longer line is an error, not that much memory */

struct tt_lines;

/* By its name: .gz (also of several members), .zst (several frames), "-" standard input, anything else plain. */
TT_MUST_CHECK tt_status tt_lines_open(struct tt_lines **out, const char *path, struct tt_err *err);
void tt_lines_close(struct tt_lines *lines);

/* The next line without its end, valid until the next call; NULL at the end of the file, where a last line may lack its end.
 * TT_EFORMAT: a compressed file that is damaged or cut short, a line over the maximum. */
TT_MUST_CHECK tt_status tt_lines_next(struct tt_lines *lines, const char **line, size_t *nbytes, struct tt_err *err);

uint64_t tt_lines_number(const struct tt_lines *lines); /* of the last line, from 1 */
uint64_t tt_lines_offset(const struct tt_lines *lines); /* of the next line, in the uncompressed bytes */

/* The next bytes without taking them: at least nbytes, fewer only at the end of the file; valid until the next call. */
TT_MUST_CHECK tt_status tt_lines_peek(struct tt_lines *lines, size_t nbytes, const char **bytes, size_t *n, struct tt_err *err);
void tt_lines_skip(struct tt_lines *lines, size_t n); /* takes n of them */

/* To a place that tt_lines_offset and tt_lines_number gave, where tt_lines_can_seek: plain files only. */
bool tt_lines_can_seek(const struct tt_lines *lines);
TT_MUST_CHECK tt_status tt_lines_seek(struct tt_lines *lines, uint64_t offset, uint64_t number, struct tt_err *err);

#endif
