/* lib/value/toml.h: values from TOML 1.0.
 *
 * All of it: every form of string, key, integer (int64) and float; arrays, inline tables, dotted keys, arrays of tables; what the
 * specification calls invalid is an error (a key or table defined twice, a dotted key into a table that has its own header, control
 * characters, bytes that are not UTF-8). Dates and times are checked and become strings, as they stand: no setting is a date.
 * Every value has the line it starts on. */
#ifndef TT_VALUE_TOML_H
#define TT_VALUE_TOML_H

#include "value/value.h"

/* *out is a map. path is for messages only. TT_EFORMAT: "path:line: what was expected, and what was found". */
TT_MUST_CHECK tt_status tt_toml_parse(struct tt_value **out, struct tt_arena *arena, const void *bytes, size_t nbytes,
                                      const char *path, struct tt_err *err);

#endif
