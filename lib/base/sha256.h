/* lib/base/sha256.h: SHA-256 (FIPS 180-4). */
#ifndef TT_BASE_SHA256_H
#define TT_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { TT_SHA256_NBYTES = 32 };

struct tt_sha256 {
    uint32_t h[8];
    uint64_t nbytes;   /* so far */
    uint8_t block[64]; /* the nbytes % 64 that are not hashed yet */
};

struct tt_sha256 tt_sha256_begin(void);
void tt_sha256_add(struct tt_sha256 *sha, const void *bytes, size_t nbytes);
void tt_sha256_end(struct tt_sha256 *sha, uint8_t digest[TT_SHA256_NBYTES]);

#endif
