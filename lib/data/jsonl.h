/* lib/data/jsonl.h: the text of one line of a dataset, {"text": "...", ...}. */
#ifndef TT_DATA_JSONL_H
#define TT_DATA_JSONL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Replaces out's content. is_element: of an array, where a string is its own text. TT_EFORMAT with path and line: bytes that are
 * no JSON object (as strict as the reference: control characters, lone surrogates, bytes that are not UTF-8 and keys given twice are
 * errors), no "text", a value that is no string. */
TT_MUST_CHECK tt_status tt_jsonl_text(struct tt_buf *out, const char *line, size_t nbytes, bool is_element, const char *path,
                                      uint64_t number, struct tt_err *err);

bool tt_jsonl_blank(const char *line, size_t nbytes); /* nothing but white space: no sample */

#endif
