/* lib/data/text.h: samples of text that can be counted and gone to, from files that are never held in memory: what `datasets` calls
 * map-style.
 *
 * A path is a folder, a file (samples.h), plain or compressed, or "-": JSON lines on standard input, once, in order: no count, no seek
 * backwards. Each sample is {"text": "...", ...}, of which other keys do not matter; in an array a string stands for its text.
 *
 * Opening a seekable source reads it once to count its samples (and remembers where every few of them begin), because a rank's
 * part and the place to resume at are given in samples. */
#ifndef TT_DATA_TEXT_H
#define TT_DATA_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct tt_text;

/* config, split: of a folder (files.h). TT_ENOENT: no such path, or a folder without data files; TT_EFORMAT: no samples at all. */
TT_MUST_CHECK tt_status tt_text_open(struct tt_text **out, const char *path, const char *config, const char *split,
                                     struct tt_err *err);
void tt_text_free(struct tt_text *text);

/* Samples in all; -1 for a pipe. */
int64_t tt_text_count(const struct tt_text *text);

/* The next tt_text_next gives sample `index`, from 0; index may equal the count. A pipe goes forwards only (TT_EINVAL). */
TT_MUST_CHECK tt_status tt_text_seek(struct tt_text *text, int64_t index, struct tt_err *err);

/* The next sample's text, UTF-8, which may hold NULs; valid until the next call. *sample is NULL at the end.
 * TT_EFORMAT with file and line: no JSON object, no key "text", or a value that is no string. */
TT_MUST_CHECK tt_status tt_text_next(struct tt_text *text, const char **sample, size_t *nbytes, struct tt_err *err);

#endif
