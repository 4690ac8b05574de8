/* lib/format/zip.h: the zip container of torch.save: a .pt file, or one item of a .distcp file.
 *
 *   record ...   local header (30 bytes), "<root>/<name>", extra (zip64 field where needed, "FB" padding), data, descriptor
 *   directory    an entry (46 bytes, name, zip64 field) a record
 *   end          zip64 end record (56), its locator (20), end record (22): always all three
 *
 * Records are stored, not compressed; data starts at a multiple of 64 from the start of the archive; sizes and CRC stand in the
 * descriptor and in the directory, the local header has zeros. man/titan-pt.5 has every field. What is written here is byte for
 * byte what torch.save writes. */
#ifndef TT_FORMAT_ZIP_H
#define TT_FORMAT_ZIP_H

#include "base/arena.h"
#include "base/buf.h"
#include "format/source.h"

/* --- reading ------------------------------------------------------------------------------------------------------------------ */

struct tt_zip_entry {
    const char *name; /* without the root: "data/0"; in the arena */
    uint64_t offset;  /* of the data, from the start of the archive */
    uint64_t nbytes;
    uint32_t crc;     /* 0: not recorded (or that is what it is) */
};

struct tt_zip {
    const char *root;
    struct tt_zip_entry *entries;
    size_t n;
};

/* Reads the directory, and the local header of each record. Refused, with the record's name: compressed or encrypted entries,
 * entries that disagree between directory and local header, lie outside the archive or overlap, names without the common root,
 * bytes behind the end (but of an archive that is a file of its own: PyTorch loads it). TT_EUNSUPPORTED: TorchScript's archives.
 * Everything of *out lives in the arena. */
TT_MUST_CHECK tt_status tt_zip_open(struct tt_zip *out, struct tt_arena *arena, const struct tt_source *src, struct tt_err *err);

/* The records that an archive begins with, from its first bytes alone: all up to a first "data/..." in them, whose length is
 * TT_ZIP_NBYTES_UNKNOWN. It is what a stream can be told from before its directory comes: what it says is to be checked
 * against that. False: it does not begin so, and tt_zip_open has to read it from its end. */
#define TT_ZIP_NBYTES_UNKNOWN UINT64_MAX
bool tt_zip_prefix(struct tt_zip *out, struct tt_arena *arena, const uint8_t *bytes, size_t nbytes);

const struct tt_zip_entry *tt_zip_find(const struct tt_zip *zip, const char *name); /* NULL: none */

/* All of a record, into the arena, its CRC verified. TT_EFORMAT over max_nbytes. */
TT_MUST_CHECK tt_status tt_zip_read(const struct tt_zip_entry *entry, struct tt_arena *arena, const struct tt_source *src,
                                    uint64_t max_nbytes, const uint8_t **out, struct tt_err *err);

/* --- writing ------------------------------------------------------------------------------------------------------------------ */

struct tt_zip_record {
    const char *root, *name; /* "archive", "data/0"; borrowed */
    uint64_t nbytes;
    uint32_t crc; /* the caller's to fill before the descriptor and the directory are put */
    uint64_t header_offset, data_offset; /* tt_zip_layout fills these: from the start of the archive */
};

/* Places n records one after the other; returns where the directory begins. */
uint64_t tt_zip_layout(struct tt_zip_record *records, size_t n);

/* The offset behind a record's descriptor. */
uint64_t tt_zip_record_end(const struct tt_zip_record *record);
/* The length of the directory and the end. */
uint64_t tt_zip_tail_nbytes(const struct tt_zip_record *records, size_t n);

void tt_zip_put_header(struct tt_buf *out, const struct tt_zip_record *record);     /* header_offset .. data_offset */
void tt_zip_put_descriptor(struct tt_buf *out, const struct tt_zip_record *record); /* behind the data */
void tt_zip_put_tail(struct tt_buf *out, const struct tt_zip_record *records, size_t n);

/* CRC-32 of the bytes, continued from `crc` (0 at first). */
uint32_t tt_crc32(uint32_t crc, const void *bytes, size_t nbytes);
/* The CRC-32 of A followed by B, from those of A and B. */
uint32_t tt_crc32_combine(uint32_t a, uint32_t b, uint64_t nbytes_b);
/* Whether bytes whose CRC was found are those for which `stored` was written; 0: it was not recorded, any will do. The one place where
 * CRCs are compared, which fuzzers switch off. */
bool tt_crc32_agrees(uint32_t stored, uint32_t found);

#endif
