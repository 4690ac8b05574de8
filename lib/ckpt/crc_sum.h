/* lib/ckpt/crc_sum.h: the CRC-32 of bytes that are met in pieces, in any order. No piece is kept:
 *
 *   crc    CRC(A B) = (CRC(A) shifted by as many bytes as B has) ^ CRC(B): the CRC of the whole is the exclusive or of those of all
 *          pieces, each shifted by the bytes behind it
 *   where  the sum of r^i over the places i of all bytes, modulo the prime 2^61 - 1: of other bytes, or of some twice, it is
 *          another number, but for one chance in about 2^60 / (bytes of the whole)
 *
 * Sums of bytes that are not the same add up (tt_crc_sum_join), whoever met them. */
#ifndef TT_CKPT_CRC_SUM_H
#define TT_CKPT_CRC_SUM_H

#include <stdbool.h>
#include <stdint.h>

struct tt_crc_sum {
    uint64_t where;
    uint32_t crc;
};

/* The piece [begin, begin + nbytes), which lies inside the whole, has this CRC. */
void tt_crc_sum_add(struct tt_crc_sum *sum, uint64_t whole_nbytes, uint64_t begin, uint64_t nbytes, uint32_t crc);
void tt_crc_sum_join(struct tt_crc_sum *sum, const struct tt_crc_sum *more);
/* Each byte was met once: crc is that of the whole. */
bool tt_crc_sum_is_whole(const struct tt_crc_sum *sum, uint64_t whole_nbytes);

/* Many pieces of one length. Equally far apart, one behind the other, they cost a multiplication each where tt_crc_sum_add has some
 * dozens: what takes them from one to the next is worked out once. */
struct tt_crc_comb {
    struct tt_crc_sum *sum;        /* which has them all after tt_crc_comb_end */
    uint64_t whole_nbytes, nbytes; /* nbytes: of a piece */
    uint64_t last, power, begins;  /* where the last piece begins, r to that, and the sum of these over all pieces */
    uint32_t crc;                  /* of what ends with the last one */
    struct {
        uint64_t nbytes, power;
        uint32_t shift;
    } step;
};

struct tt_crc_comb tt_crc_comb_begin(struct tt_crc_sum *sum, uint64_t whole_nbytes, uint64_t nbytes);
void tt_crc_comb_add(struct tt_crc_comb *comb, uint64_t begin, uint32_t crc);
void tt_crc_comb_end(struct tt_crc_comb *comb);

#endif
