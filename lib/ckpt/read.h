/* lib/ckpt/read.h: elements out of chunks. A region of an entry is gathered from all chunks that it meets; of each only the bytes
 * that are needed are read, through buffers of fixed size. CRCs are verified wherever a whole storage was read. */
#ifndef TT_CKPT_READ_H
#define TT_CKPT_READ_H

#include "ckpt/ckpt.h"

enum {
    TT_BLOCK_NBYTES = 4 << 20, /* buffers: more is not read, cast or written at a time */
    TT_PIECE_NBYTES = 1 << 20, /* and no more than that without need: it stays in a core's cache from read to write */
};

/* Which storages were read, and whether what was read is what was written. One a copy, shared by its threads. */
struct tt_verify {
    bool is_shared; /* others read parts of the same storages: runs that lie apart count too, for tt_verify_shares */
    pthread_mutex_t lock;
    struct tt_map by_storage;
    struct tt_verify_storage *items;
    size_t n, cap;
};

TT_MUST_CHECK tt_status tt_verify_init(struct tt_verify *verify, struct tt_err *err);
void tt_verify_release(struct tt_verify *verify);
/* Reads again, in order, what was asked for as a whole but not read in pieces that tile it (transposed storages). */
TT_MUST_CHECK tt_status tt_verify_finish(struct tt_verify *verify, struct tt_err *err);
/* Then: appends the struct tt_crc_share of each storage that is not verified. */
void tt_verify_shares(const struct tt_verify *verify, struct tt_buf *shares);

/* A thread's reader: buffers, and the chunks that it opened. *scratch: (TT_BLOCK_NBYTES) for all readers of a thread, or NULL until
 * one needs it; it is the caller's to free. scratch NULL: one of its own. */
struct tt_reader;
TT_MUST_CHECK tt_status tt_reader_new(struct tt_reader **out, struct tt_ckpt *ckpt, struct tt_verify *verify, uint8_t **scratch,
                                      struct tt_err *err);
void tt_reader_free(struct tt_reader *reader);
/* Of runs of elements that lie apart, nothing between them is read from now on, but where they are very short: it is for other ranks, who
 * would read most of a file each, and is many more calls. */
void tt_reader_read_exactly(struct tt_reader *reader);
const struct tt_ckpt *tt_reader_ckpt(const struct tt_reader *reader);

/* dst (row-major, of want's sizes, of entry's dtype) = entry[want]. want lies inside the shape. */
TT_MUST_CHECK tt_status tt_read_region(struct tt_reader *reader, const struct tt_entry *entry, const struct tt_region *want,
                                       void *dst, struct tt_err *err);

/* Where all bytes of a chunk lie in a file, if they do so plainly: row-major, alone in their storage, not compressed. */
struct tt_stored {
    bool is_plain;
    uint32_t file; /* of the reader's checkpoint */
    uint64_t offset, nbytes;
    uint32_t crc; /* 0: not recorded */
};

TT_MUST_CHECK tt_status tt_reader_stored(struct tt_reader *reader, const struct tt_entry *entry, const struct tt_chunk *chunk,
                                         struct tt_stored *out, struct tt_err *err);

#endif
