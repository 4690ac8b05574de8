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

/* --- combs -------------------------------------------------------------------------------------------------------------------- */

/* CRCs are polynomials, their highest bit the constant term: the product with CRC_ONE shifted by n bytes is the other, so shifted. */
static const uint32_t CRC_ONE = 0x80000000, CRC_POLYNOMIAL = 0xedb88320;

static uint32_t crc_times(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (; a; a <<= 1) {
        product ^= a & CRC_ONE ? b : 0;
        b = b >> 1 ^ (b & 1 ? CRC_POLYNOMIAL : 0);
    }
    return product;
}

struct tt_crc_comb tt_crc_comb_begin(struct tt_crc_sum *sum, uint64_t whole_nbytes, uint64_t nbytes)
{
    return (
        struct tt_crc_comb){ .sum = sum, .whole_nbytes = whole_nbytes, .nbytes = nbytes, .power = 1, .step = { 0, 1, CRC_ONE } };
}

void tt_crc_comb_add(struct tt_crc_comb *c, uint64_t begin, uint32_t crc)
{
    if (begin < c->last) { /* back again: from the start */
        tt_crc_comb_end(c);
        *c = tt_crc_comb_begin(c->sum, c->whole_nbytes, c->nbytes);
    }
    const uint64_t step = begin - c->last;
    if (step != c->step.nbytes) {
        c->step.nbytes = step;
        c->step.power = power(step);
        c->step.shift = tt_crc32_combine(CRC_ONE, 0, step);
    }
    c->last = begin;
    c->power = times(c->power, c->step.power);
    c->begins = plus(c->begins, c->power);
    c->crc = crc_times(c->crc, c->step.shift) ^ crc;
}

void tt_crc_comb_end(struct tt_crc_comb *c)
{
    const uint64_t behind = c->whole_nbytes - c->last - c->nbytes;
    tt_crc_sum_join(c->sum, &(struct tt_crc_sum){ times(c->begins, where_is(0, c->nbytes)), tt_crc32_combine(c->crc, 0, behind) });
}
