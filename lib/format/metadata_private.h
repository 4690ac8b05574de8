/* lib/format/metadata_private.h: the decoder of .metadata, for the file that reads one. */
#ifndef TT_FORMAT_METADATA_PRIVATE_H
#define TT_FORMAT_METADATA_PRIVATE_H

#include "format/metadata.h"
#include "format/pickle.h"

/* As tt_metadata_decode. `gets` of the whole pickle, or NULL; problems may be NULL, err only then. */
tt_status tt_metadata_decode_all(struct tt_entries *out, const uint8_t *bytes, size_t nbytes, const char *where,
                                 const struct tt_py_gets *gets, const struct tt_problems *problems, struct tt_err *err);

#endif
