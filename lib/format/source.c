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
    const bool in_tail = src->tail && offset >= src->tail_offset;
    if (src->tail && !in_tail && (offset > src->head_end || nbytes > src->head_end - offset))
        return tt_err_set(err, TT_EFORMAT, "%s: offset %" PRIu64 ": expected a storage there, found what describes it", src->name,
                          offset);
    if (nbytes)
        memcpy(dst, in_tail ? src->tail + (offset - src->tail_offset) : src->data + offset, (size_t)nbytes);
    return TT_OK;
}
