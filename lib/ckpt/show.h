/* lib/ckpt/show.h: keys, sizes and columns as people read them. What a checkpoint names may hold anything: nothing here lets a control
 * character reach a terminal. */
#ifndef TT_CKPT_SHOW_H
#define TT_CKPT_SHOW_H

#include <stdio.h>

#include "base/buf.h"
#include "format/entry.h"

/* A JSON string, in which all control characters are escaped (C1 and DEL too) and bytes that are no UTF-8. */
void tt_show_str(struct tt_buf *out, const char *s, size_t nbytes);
/* As it is, or as a JSON string where it could not be told from the columns around it: blanks, control characters, a " in front.
 * Returns how many characters wide that is. */
int tt_show_key(struct tt_buf *out, const char *key);
int tt_show_key_width(const char *key);

/* A line of text as it is, but for control characters. */
void tt_show_line(struct tt_buf *out, const char *line);

/* Characters, not bytes, so that columns of UTF-8 line up. */
int tt_show_width(const char *s, size_t nbytes);
/* Blanks, so that what was appended since `begin` is `width` characters wide. */
void tt_show_pad(struct tt_buf *out, size_t begin, int width);

void tt_show_blanks(struct tt_buf *out, int n); /* n < 0: none */
void tt_show_u64(struct tt_buf *out, int width, uint64_t v); /* right-aligned in so many columns; printf would take a third of a listing */

/* "[0:3,4:6]": what offsets and sizes cover, as --values takes it. */
void tt_show_region(struct tt_buf *out, int ndim, const int64_t *offsets, const int64_t *sizes);

/* Writes the text to out and clears it. TT_EIO says why the standard output, which out is, cannot be written; that is not said again
 * when it is closed. */
TT_MUST_CHECK tt_status tt_show_write(FILE *out, struct tt_buf *text, struct tt_err *err);

/* Bytes of a tensor's elements; 0 for a value. */
uint64_t tt_entry_nbytes(const struct tt_entry *entry);

#endif
