/* lib/data/text.h: samples of text, one after another, from files that are never held in memory.
 *
 * A path is
 *   a file of JSON lines, each {"text": "...", ...}: other keys do not matter, empty lines are skipped
 *   a file that ends in .gz or .zst: the same, compressed
 *   a folder: its data files, in byte order of their names (files.h has the rules)
 *   "-": JSON lines on standard input, once, in order: no count, no seek backwards
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

/* TT_ENOENT: no such path, or a folder without data files; TT_EFORMAT: no samples at all. */
TT_MUST_CHECK tt_status tt_text_open(struct tt_text **out, const char *path, struct tt_err *err);
void tt_text_free(struct tt_text *text);

/* Samples in all; -1 for a pipe. */
int64_t tt_text_count(const struct tt_text *text);

/* The next tt_text_next gives sample `index`, from 0; index may equal the count. A pipe goes forwards only (TT_EINVAL). */
TT_MUST_CHECK tt_status tt_text_seek(struct tt_text *text, int64_t index, struct tt_err *err);

/* The next sample's text, UTF-8, which may hold NULs; valid until the next call. *sample is NULL at the end.
 * TT_EFORMAT with file and line: no JSON object, no key "text", or a value that is no string. */
TT_MUST_CHECK tt_status tt_text_next(struct tt_text *text, const char **sample, size_t *nbytes, struct tt_err *err);

#endif
