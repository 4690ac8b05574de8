/* lib/base/bytes.h: integers in files. Every format that titan reads and writes is little-endian unless it says otherwise;
 * nothing in a file is aligned, so nothing is read through a cast pointer. */
#ifndef TT_BASE_BYTES_H
#define TT_BASE_BYTES_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "titan runs on little-endian machines"
#endif

static inline uint16_t tt_load_le16(const void *p) { uint16_t v; memcpy(&v, p, sizeof v); return v; }
static inline uint32_t tt_load_le32(const void *p) { uint32_t v; memcpy(&v, p, sizeof v); return v; }
static inline uint64_t tt_load_le64(const void *p) { uint64_t v; memcpy(&v, p, sizeof v); return v; }
static inline uint64_t tt_load_be64(const void *p) { return __builtin_bswap64(tt_load_le64(p)); }
static inline void tt_store_le16(void *p, uint16_t v) { memcpy(p, &v, sizeof v); }
static inline void tt_store_le32(void *p, uint32_t v) { memcpy(p, &v, sizeof v); }
static inline void tt_store_le64(void *p, uint64_t v) { memcpy(p, &v, sizeof v); }
static inline void tt_store_be64(void *p, uint64_t v) { tt_store_le64(p, __builtin_bswap64(v)); }

/* Checked arithmetic for numbers that come from a file: true where the result does not fit. */
static inline int tt_add_overflows(uint64_t a, uint64_t b, uint64_t *sum) { return __builtin_add_overflow(a, b, sum); }
static inline int tt_mul_overflows(uint64_t a, uint64_t b, uint64_t *product) { return __builtin_mul_overflow(a, b, product); }

#endif
