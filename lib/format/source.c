#include "format/source.h"

#include <inttypes.h>
#include <string.h>

tt_status tt_source_read(const struct tt_source *src, void *dst, uint64_t nbytes, uint64_t offset, struct tt_err *err)
{
    if (offset > src->nbytes || nbytes > src->nbytes - offset)
        return tt_err_set(err, TT_EFORMAT, "%s: offset %" PRIu64 ": expected %" PRIu64 " bytes, found the end at %" PRIu64,
                          src->name, offset, nbytes, src->nbytes);
    const bool in_tail = src->tail && offset >= src->tail_offset;
    const bool in_memory = in_tail || (src->tail ? offset <= src->head_end && nbytes <= src->head_end - offset : !src->file);
    if (!in_memory && src->file)
        return tt_infile_pread(src->file, dst, (size_t)nbytes, src->offset + offset, err);
    if (!in_memory)
        return tt_err_set(err, TT_EFORMAT, "%s: offset %" PRIu64 ": expected a storage there, found what describes it", src->name,
                          offset);
    if (nbytes)
        memcpy(dst, in_tail ? src->tail + (offset - src->tail_offset) : src->data + offset, (size_t)nbytes);
    return TT_OK;
}
