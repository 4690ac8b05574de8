/* lib/value/yaml.h: values from YAML, through libyaml.
 *
 * One document. Plain scalars are read as people write them, which is the union of YAML 1.1 and the 1.2 core schema: 1e-6 is a
 * float, 1_000 and 0x10 are integers, yes/no/on/off are booleans, ~ and nothing are null; quoted ones are strings. 010, which the
 * two versions read as different numbers, is an error that says so. Keys are strings, as they stand, and unique. Aliases are
 * followed (a document may grow to NODES_MAX values by them); tags other than !!str, !!int, !!float, !!bool, !!null, !!seq and
 * !!map are errors. Every value has the line it starts on. */
#ifndef TT_VALUE_YAML_H
#define TT_VALUE_YAML_H

#include "value/value.h"

/* path is for messages only. TT_EFORMAT: "path:line: ...". An empty document is a null. */
TT_MUST_CHECK tt_status tt_yaml_parse(struct tt_value **out, struct tt_arena *arena, const void *bytes, size_t nbytes,
                                      const char *path, struct tt_err *err);

#endif
