#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "format/zip.h"
#include "format/zip_private.h"

uint32_t tt_crc32(uint32_t crc, const void *bytes, size_t nbytes) { return nbytes ? libdeflate_crc32(crc, bytes, nbytes) : crc; }

uint32_t tt_crc32_combine(uint32_t a, uint32_t b, uint64_t nbytes_b) { return (uint32_t)crc32_combine(a, b, (z_off_t)nbytes_b); }

bool tt_crc32_agrees(uint32_t stored, uint32_t found)
{
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    /* What a fuzzer makes of a file never has the right CRC, and would get no further than here. */
    (void)stored;
    (void)found;
    return true;
#else
    return stored == 0 || stored == found;
#endif
}

static bool is_large(const struct tt_zip_record *r) { return r->nbytes >= ZIP_U32; }
static bool is_far(const struct tt_zip_record *r) { return r->header_offset >= ZIP_U32; }
static size_t name_nbytes(const struct tt_zip_record *r) { return strlen(r->root) + 1 + strlen(r->name); }

/* The zip64 field with its 4 bytes of head: 0 where neither size nor offset needs it. */
static size_t zip64_nbytes(const struct tt_zip_record *r)
{
    const size_t body = (is_large(r) ? 16 : 0) + (is_far(r) ? 8 : 0);
    return body ? 4 + body : 0;
}

static uint64_t descriptor_nbytes(const struct tt_zip_record *r)
{
    return r->nbytes == 0 ? 0 : is_large(r) || is_far(r) ? 24 : 16;
}

/* Where the data would start without padding. */
static uint64_t data_start(const struct tt_zip_record *r)
{
    return r->header_offset + ZIP_LOCAL_NBYTES + name_nbytes(r) + zip64_nbytes(r) + FB_HEAD_NBYTES;
}

uint64_t tt_zip_layout(struct tt_zip_record *records, size_t n)
{
    uint64_t at = 0;

    for (size_t i = 0; i < n; i++) {
        records[i].header_offset = at;
        records[i].data_offset = (data_start(&records[i]) + ZIP_ALIGN - 1) / ZIP_ALIGN * ZIP_ALIGN;
        at = tt_zip_record_end(&records[i]);
    }
    return at;
}

uint64_t tt_zip_record_end(const struct tt_zip_record *r) { return r->data_offset + r->nbytes + descriptor_nbytes(r); }

uint64_t tt_zip_tail_nbytes(const struct tt_zip_record *records, size_t n)
{
    uint64_t nbytes = ZIP_END64_NBYTES + ZIP_LOCATOR_NBYTES + ZIP_END_NBYTES;

    for (size_t i = 0; i < n; i++)
        nbytes += ZIP_CENTRAL_NBYTES + name_nbytes(&records[i]) + zip64_nbytes(&records[i]);
    return nbytes;
}

static uint16_t flags_of(const struct tt_zip_record *r) { return r->nbytes ? ZIP_FLAG_UTF8 | ZIP_FLAG_DESCRIPTOR : ZIP_FLAG_UTF8; }

static void put_name(struct tt_buf *out, const struct tt_zip_record *r)
{
    tt_buf_str(out, r->root);
    tt_buf_byte(out, '/');
    tt_buf_str(out, r->name);
}

static void put_zip64(struct tt_buf *out, const struct tt_zip_record *r, uint64_t csize)
{
    if (!zip64_nbytes(r))
        return;
    tt_buf_le16(out, ZIP64_TAG);
    tt_buf_le16(out, (uint16_t)(zip64_nbytes(r) - 4));
    if (is_large(r)) {
        tt_buf_le64(out, r->nbytes);
        tt_buf_le64(out, csize);
    }
    if (is_far(r))
        tt_buf_le64(out, r->header_offset);
}

void tt_zip_put_header(struct tt_buf *out, const struct tt_zip_record *r)
{
    const uint16_t pad = (uint16_t)(r->data_offset - data_start(r));

    tt_buf_put(out, "PK\3\4", 4);
    tt_buf_le16(out, 0);
    tt_buf_le16(out, flags_of(r));
    tt_buf_fill(out, 0, 2 + 4 + 12); /* stored; no time; crc and sizes stand in the descriptor */
    tt_buf_le16(out, (uint16_t)name_nbytes(r));
    tt_buf_le16(out, (uint16_t)(zip64_nbytes(r) + FB_HEAD_NBYTES + pad));
    put_name(out, r);
    put_zip64(out, r, 0); /* the local field has 0 for the stored size, even so */
    tt_buf_put(out, "FB", 2);
    tt_buf_le16(out, pad);
    tt_buf_fill(out, 'Z', pad);
}

void tt_zip_put_descriptor(struct tt_buf *out, const struct tt_zip_record *r)
{
    const uint64_t nbytes = descriptor_nbytes(r);
    if (nbytes == 0)
        return;
    tt_buf_put(out, "PK\7\10", 4);
    tt_buf_le32(out, r->crc);
    for (int i = 0; i < 2; i++)
        if (nbytes == 24)
            tt_buf_le64(out, r->nbytes);
        else
            tt_buf_le32(out, (uint32_t)r->nbytes);
}

static void put_central(struct tt_buf *out, const struct tt_zip_record *r)
{
    const uint32_t size = is_large(r) ? ZIP_U32 : (uint32_t)r->nbytes;

    tt_buf_put(out, "PK\1\2", 4);
    tt_buf_le16(out, 0);
    tt_buf_le16(out, 0);
    tt_buf_le16(out, flags_of(r));
    tt_buf_fill(out, 0, 2 + 4);
    tt_buf_le32(out, r->crc);
    tt_buf_le32(out, size);
    tt_buf_le32(out, size);
    tt_buf_le16(out, (uint16_t)name_nbytes(r));
    tt_buf_le16(out, (uint16_t)zip64_nbytes(r));
    tt_buf_fill(out, 0, 2 + 2 + 2 + 4);
    tt_buf_le32(out, is_far(r) ? ZIP_U32 : (uint32_t)r->header_offset);
    put_name(out, r);
    put_zip64(out, r, r->nbytes);
}

static uint32_t saturate32(uint64_t v) { return v < ZIP_U32 ? (uint32_t)v : ZIP_U32; }

void tt_zip_put_tail(struct tt_buf *out, const struct tt_zip_record *records, size_t n)
{
    const uint64_t start = n ? tt_zip_record_end(&records[n - 1]) : 0;
    const uint64_t central = tt_zip_tail_nbytes(records, n) - (ZIP_END64_NBYTES + ZIP_LOCATOR_NBYTES + ZIP_END_NBYTES);
    const uint16_t n16 = n < UINT16_MAX ? (uint16_t)n : UINT16_MAX;

    for (size_t i = 0; i < n; i++)
        put_central(out, &records[i]);

    tt_buf_put(out, "PK\6\6", 4);
    tt_buf_le64(out, ZIP_END64_NBYTES - 12);
    tt_buf_le16(out, 0x031e); /* made by 3.0 on Unix */
    tt_buf_le16(out, 45);
    tt_buf_fill(out, 0, 8);
    tt_buf_le64(out, n);
    tt_buf_le64(out, n);
    tt_buf_le64(out, central);
    tt_buf_le64(out, start);

    tt_buf_put(out, "PK\6\7", 4);
    tt_buf_le32(out, 0);
    tt_buf_le64(out, start + central);
    tt_buf_le32(out, 1);

    tt_buf_put(out, "PK\5\6", 4);
    tt_buf_fill(out, 0, 4);
    tt_buf_le16(out, n16);
    tt_buf_le16(out, n16);
    tt_buf_le32(out, saturate32(central));
    tt_buf_le32(out, saturate32(start));
    tt_buf_le16(out, 0);
}
