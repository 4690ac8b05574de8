#include "base/sha256.h"

#include <string.h>

#include "base/bytes.h"

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

struct tt_sha256 tt_sha256_begin(void)
{
    return (struct tt_sha256){ .h = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 } };
}

static inline uint32_t rotr(uint32_t x, int n) { return x >> n | x << (32 - n); }

/* One round; the eight working variables rotate by the order in which they are passed. */
static inline void round_of(uint32_t a, uint32_t b, uint32_t c, uint32_t *d, uint32_t e, uint32_t f, uint32_t g, uint32_t *h,
                            uint32_t kw)
{
    const uint32_t t1 = *h + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + (g ^ (e & (f ^ g))) + kw;
    const uint32_t t2 = (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) | (c & (a | b)));
    *d += t1;
    *h = t1 + t2;
}

static void hash_block(uint32_t state[8], const uint8_t *p)
{
    uint32_t w[64];
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];

    for (int i = 0; i < 16; i++)
        w[i] = __builtin_bswap32(tt_load_le32(p + 4 * i));
    for (int i = 16; i < 64; i++) {
        const uint32_t s0 = rotr(w[i - 15], 7) ^ rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
        const uint32_t s1 = rotr(w[i - 2], 17) ^ rotr(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    for (int i = 0; i < 64; i += 8) {
        round_of(a, b, c, &d, e, f, g, &h, k[i] + w[i]);
        round_of(h, a, b, &c, d, e, f, &g, k[i + 1] + w[i + 1]);
        round_of(g, h, a, &b, c, d, e, &f, k[i + 2] + w[i + 2]);
        round_of(f, g, h, &a, b, c, d, &e, k[i + 3] + w[i + 3]);
        round_of(e, f, g, &h, a, b, c, &d, k[i + 4] + w[i + 4]);
        round_of(d, e, f, &g, h, a, b, &c, k[i + 5] + w[i + 5]);
        round_of(c, d, e, &f, g, h, a, &b, k[i + 6] + w[i + 6]);
        round_of(b, c, d, &e, f, g, h, &a, k[i + 7] + w[i + 7]);
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

void tt_sha256_add(struct tt_sha256 *sha, const void *bytes, size_t nbytes)
{
    const uint8_t *p = bytes;
    const size_t held = sha->nbytes % sizeof sha->block;

    sha->nbytes += nbytes;
    if (held) {
        const size_t room = sizeof sha->block - held, n = nbytes < room ? nbytes : room;
        memcpy(sha->block + held, p, n);
        if (n < room)
            return;
        hash_block(sha->h, sha->block);
        p += n;
        nbytes -= n;
    }
    for (; nbytes >= sizeof sha->block; p += sizeof sha->block, nbytes -= sizeof sha->block)
        hash_block(sha->h, p);
    if (nbytes)
        memcpy(sha->block, p, nbytes);
}

/* A bit 1, zeros, and the number of bits (u64, big-endian), up to a whole block. */
void tt_sha256_end(struct tt_sha256 *sha, uint8_t digest[TT_SHA256_NBYTES])
{
    static const uint8_t padding[64] = { 0x80 };
    const uint64_t nbits = sha->nbytes * 8;
    const size_t held = sha->nbytes % 64;
    uint8_t length[8];

    tt_store_be64(length, nbits);
    tt_sha256_add(sha, padding, (held < 56 ? 56 : 120) - held);
    tt_sha256_add(sha, length, sizeof length);
    for (int i = 0; i < 8; i++)
        tt_store_le32(digest + 4 * i, __builtin_bswap32(sha->h[i]));
}
