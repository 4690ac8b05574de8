#include "format/source.h"

#include <inttypes.h>
#include <string.h>

tt_status tt_source_read(const struct tt_source *src, void *dst, uint64_t nbytes, uint64_t offset, struct tt_err *err)
{
    if (offset > src->nbytes || nbytes > src->nbytes - offset)
        return tt_err_set(err, TT_EFORMAT, "%s: offset %" PRIu64 ": expected %" PRIu64 " bytes, found the end at %" PRIu64,
                          src->name, offset, nbytes, src->nbytes);
    if (src->file)
        return tt_infile_pread(src->file, dst, (size_t)nbytes, src->offset + offset, err);
    if (nbytes)
        memcpy(dst, src->data + offset, (size_t)nbytes);
    return TT_OK;
}
