/* lib/value/json.h: values from and to JSON.
 *
 * Reading goes through jansson, which keeps no line of a value: `line` is 0 everywhere. Writing gives the bytes that Python's
 * json.dumps(value, ensure_ascii=False) gives. */
#ifndef TT_VALUE_JSON_H
#define TT_VALUE_JSON_H

#include "base/buf.h"
#include "value/value.h"

/* One JSON document of any kind, nothing but white space around it. A key that appears twice has its last value, as in Python.
 * path is for messages only. TT_EFORMAT with path, line and column: bytes that are not JSON or not UTF-8, an integer outside int64,
 * nesting deeper than TT_VALUE_DEPTH_MAX. */
TT_MUST_CHECK tt_status tt_json_parse(struct tt_value **out, struct tt_arena *arena, const void *bytes, size_t nbytes,
                                      const char *path, struct tt_err *err);

/* The same for what says where bytes lie (headers, indexes): a key that appears twice is TT_EFORMAT too. */
TT_MUST_CHECK tt_status tt_json_parse_distinct(struct tt_value **out, struct tt_arena *arena, const void *bytes, size_t nbytes,
                                               const char *path, struct tt_err *err);

/* The same with every number as a float, so that no integer is too big: for files whose numbers no one reads. */
TT_MUST_CHECK tt_status tt_json_parse_reals(struct tt_value **out, struct tt_arena *arena, const void *bytes, size_t nbytes,
                                            const char *path, struct tt_err *err);

/* indent 0: on one line, "{"a": 1, "b": [2, 3]}". Else each item on a line of its own, indented by so many spaces a level.
 * A tuple is written as a list, a map's key as a string; BYTES, TENSOR and OBJECT, which JSON does not have, as null. */
void tt_json_write(struct tt_buf *out, const struct tt_value *value, int indent);

/* The parts, for who writes without making values first. The number is the shortest that reads back as the same double, with a
 * ".0" where it would read as an integer; NaN, Infinity and -Infinity as Python has them. */
void tt_json_write_double(struct tt_buf *out, double f);
void tt_json_write_str(struct tt_buf *out, const char *s, size_t nbytes);

#endif
