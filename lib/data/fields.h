/* lib/data/fields.h: typed reads of a JSON object's fields, with messages that name file and place. `where` is such a place:
 * "tok/tokenizer.json: pre_tokenizer.pretokenizers[1]". An absent field and null are the same. */
#ifndef TT_DATA_FIELDS_H
#define TT_DATA_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "value/value.h"

enum tt_need { TT_OPTIONAL, TT_REQUIRED };

/* The outputs stay as they are where an optional field is absent. Strings are borrowed from the value. */
TT_MUST_CHECK tt_status tt_field_bool(bool *out, const struct tt_value *map, const char *key, enum tt_need need, const char *where,
                                      struct tt_err *err);
TT_MUST_CHECK tt_status tt_field_str(const char **out, size_t *nbytes, const struct tt_value *map, const char *key,
                                     enum tt_need need, const char *where, struct tt_err *err);
/* Required: a count from 0 to 2^53, which leaves room to count on. */
TT_MUST_CHECK tt_status tt_field_count(int64_t *out, const struct tt_value *map, const char *key, const char *where,
                                       struct tt_err *err);
/* *out is NULL where an optional one is absent. kind: TT_V_LIST or TT_V_MAP. */
TT_MUST_CHECK tt_status tt_field_tree(const struct tt_value **out, const struct tt_value *map, const char *key, enum tt_vkind kind,
                                      enum tt_need need, const char *where, struct tt_err *err);

/* A string of one character: its UTF-8. */
TT_MUST_CHECK tt_status tt_field_char(char out[4], uint8_t *nbytes, const struct tt_value *map, const char *key, const char *where,
                                      struct tt_err *err);

/* A string of its own, malloced; with a NUL behind it. */
TT_MUST_CHECK tt_status tt_field_copy(char **out, size_t *nbytes, const struct tt_value *map, const char *key, const char *where,
                                      struct tt_err *err);

/* A token id: an integer of at least 0 that fits int32. `what` names it. */
TT_MUST_CHECK tt_status tt_token_id_of(int32_t *out, const struct tt_value *v, const char *where, const char *what,
                                       struct tt_err *err);

/* "expected WHAT, found an integer" */
tt_status tt_field_wrong(const struct tt_value *found, const char *expected, const char *where, const char *key,
                         struct tt_err *err);

#endif
