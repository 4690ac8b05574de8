#include "ckpt/crc_sum.h"

#include "format/zip.h"

typedef unsigned __int128 u128;

static const uint64_t prime = ((uint64_t)1 << 61) - 1, root = 0x0f3a5c69b7d2e481;

static uint64_t plus(uint64_t a, uint64_t b) { return (a + b) % prime; }
static uint64_t minus(uint64_t a, uint64_t b) { return (a + prime - b) % prime; }

static uint64_t times(uint64_t a, uint64_t b)
{
    const u128 product = (u128)a * b;
    return plus((uint64_t)product & prime, (uint64_t)(product >> 61));
}

static uint64_t power(uint64_t n)
{
    uint64_t p = 1;
    for (uint64_t square = root; n; n >>= 1, square = times(square, square))
        if (n & 1)
            p = times(p, square);
    return p;
}

/* r^begin + ... + r^(end - 1), times r - 1, as all sums here are. */
static uint64_t where_is(uint64_t begin, uint64_t end) { return minus(power(end), power(begin)); }

void tt_crc_sum_add(struct tt_crc_sum *sum, uint64_t whole_nbytes, uint64_t begin, uint64_t nbytes, uint32_t crc)
{
    const uint64_t end = begin + nbytes;
    tt_crc_sum_join(sum, &(struct tt_crc_sum){ where_is(begin, end), tt_crc32_combine(crc, 0, whole_nbytes - end) });
}

void tt_crc_sum_join(struct tt_crc_sum *sum, const struct tt_crc_sum *more)
{
    sum->where = plus(sum->where, more->where);
    sum->crc ^= more->crc;
}

bool tt_crc_sum_is_whole(const struct tt_crc_sum *sum, uint64_t whole_nbytes) { return sum->where == where_is(0, whole_nbytes); }
