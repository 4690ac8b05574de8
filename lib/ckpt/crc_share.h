/* lib/ckpt/crc_share.h: whether what several readers read of a checkpoint is what was written, also where none of them reads a
 * storage as a whole. Each says of which of its bytes what the CRC is (tt_copy_opts.shares); where these are all, it is compared. */
#ifndef TT_CKPT_CRC_SHARE_H
#define TT_CKPT_CRC_SHARE_H

#include "ckpt/ckpt.h"
#include "ckpt/crc_sum.h"

/* Of a storage that is not read as a whole, what one reader reads. Without padding: it is sent as it is. */
struct tt_crc_share {
    uint64_t offset, nbytes;   /* of the storage, in the file */
    uint64_t where;            /* as struct tt_crc_sum has it, */
    uint32_t found;            /* and the CRC */
    uint32_t file, entry, crc; /* of the checkpoint's; the storage's CRC as it was stored */
};

/* The shares of all readers of the checkpoint, which are sorted. Several may have read the same; a storage of which they left some
 * out is not checked. TT_EFORMAT: as for one reader. */
TT_MUST_CHECK tt_status tt_crc_shares_check(struct tt_ckpt *ckpt, struct tt_crc_share *shares, size_t n, struct tt_err *err);

#endif
