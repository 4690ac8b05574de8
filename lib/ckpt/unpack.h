/* lib/ckpt/unpack.h: compressed items of a DCP folder (TT_CODEC_ZSTD), read as if they were not.
 *
 * An item is decoded once, forward. Whoever reads its elements in the order of the file gets them as they are decoded; what is passed
 * over on the way is kept aside for a while, for the thread that will ask for it next. What is read in another order, or by several
 * places of a plan, is decoded into the spill file (files.h), all of it, and read from there by everyone. The CRC-32 of a
 * storage is verified as its last byte is decoded. From any thread. */
#ifndef TT_CKPT_UNPACK_H
#define TT_CKPT_UNPACK_H

#include "ckpt/ckpt.h"
#include "ckpt/recipe.h"
#include "format/source.h"

struct tt_unpack; /* of a checkpoint */

TT_MUST_CHECK tt_status tt_unpack_new(struct tt_unpack **out, struct tt_err *err);
void tt_unpack_free(struct tt_unpack *unpack, struct tt_files *files); /* NULL: nothing */

/* Where the chunk's elements are in its storage, which lies in the decoded item. */
struct tt_unpacked {
    uint64_t nbytes; /* of the storage */
    int64_t first, strides[TT_NDIM_MAX]; /* in elements */
};

/* The item holds just the chunk: TT_EFORMAT says what else was found. check_crc: of the first who opens it counts. */
TT_MUST_CHECK tt_status tt_unpack_open(struct tt_ckpt *ckpt, const struct tt_entry *entry, const struct tt_chunk *chunk, bool check_crc,
                                       struct tt_unpacked *out, struct tt_err *err);

/* Bytes [at, at + nbytes) of the storage, which was opened. */
TT_MUST_CHECK tt_status tt_unpack_read(struct tt_ckpt *ckpt, const struct tt_entry *entry, const struct tt_chunk *chunk, bool check_crc,
                                       void *dst, size_t nbytes, uint64_t at, struct tt_err *err);

/* The whole item, decoded: in the arena where it is small, else in the spill file, and *file is the spill file's index then, else
 * TT_FILE_NONE. For values, and for those who look at the records themselves. */
TT_MUST_CHECK tt_status tt_unpack_item(struct tt_ckpt *ckpt, const struct tt_entry *entry, const struct tt_chunk *chunk,
                                       struct tt_arena *arena, struct tt_source *out, uint32_t *file, struct tt_err *err);

/* --- plans ---------------------------------------------------------------------------------------------------------------------- */

/* A plan will fill this region of an output, from its first element to its last: notes who reads which compressed chunks, so that
 * what is read more than once, or out of order, is spilled at once. follows: the plan does so after all that it announced of these
 * chunks, and from behind all of it. */
void tt_unpack_expect(const struct tt_output *output, const struct tt_region *region, bool follows);

/* Whether the region is elements of rows [begin, end) of one tensor with compressed chunks, as they are and in their order. */
bool tt_unpack_rows(const struct tt_output *output, const struct tt_region *region, const struct tt_entry **src, int64_t *begin,
                    int64_t *end);

/* The most that such plans will have spilled of a checkpoint. */
uint64_t tt_unpack_spill_nbytes(const struct tt_ckpt *ckpt);

/* What a chunk's item decodes to, but for some headers. */
uint64_t tt_chunk_decoded_nbytes(const struct tt_entry *entry, const struct tt_chunk *chunk);

#endif
