/* Regions and casts. All bit patterns are compared with PyTorch in tests/interop/ckpt_vs_torch.py. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tensor/cast.h"
#include "tensor/cast_private.h"
#include "tensor/region.h"

static void test_numel_and_fits_withstand_any_number(void **state)
{
    int64_t n = 7;
    const int64_t huge[] = { INT64_MAX, 2 }, empty[] = { INT64_MAX, 0, INT64_MAX }, negative[] = { 0, -1 }, shape[] = { 5, 5 };
    (void)state;
    assert_false(tt_numel(2, huge, &n));
    assert_false(tt_numel(2, negative, &n));
    assert_int_equal(n, 7);
    assert_true(tt_numel(3, empty, &n));
    assert_int_equal(n, 0);
    assert_true(tt_numel(0, NULL, &n));
    assert_int_equal(n, 1);
    const int64_t far[] = { INT64_MAX, 0 }, at[] = { 4, 5 }, one[] = { 1, 0 }, two[] = { 2, 0 };
    struct tt_region r = tt_region_make(2, far, far);
    assert_false(tt_region_fits(&r, shape));
    r = tt_region_make(2, at, one);
    assert_true(tt_region_fits(&r, shape));
    r = tt_region_make(2, at, two);
    assert_false(tt_region_fits(&r, shape));
}

static void test_regions_intersect(void **state)
{
    const int64_t a_at[] = { 0, 2 }, a_size[] = { 4, 4 }, b_at[] = { 3, 0 }, b_size[] = { 5, 3 }, c_at[] = { 4, 0 };
    const struct tt_region a = tt_region_make(2, a_at, a_size), b = tt_region_make(2, b_at, b_size),
                           c = tt_region_make(2, c_at, b_size);
    struct tt_region both;
    (void)state;
    assert_true(tt_region_intersect(&both, &a, &b));
    assert_int_equal(both.offset[0], 3);
    assert_int_equal(both.offset[1], 2);
    assert_int_equal(both.size[0], 1);
    assert_int_equal(both.size[1], 1);
    assert_false(tt_region_intersect(&both, &a, &c));
    const struct tt_region scalar = tt_region_make(0, NULL, NULL);
    assert_true(tt_region_intersect(&both, &scalar, &scalar));
}

static void test_pieces_cover_a_region_once_and_in_order(void **state)
{
    static const int64_t sizes[][3] = { { 4, 5, 6 }, { 1, 1, 1 }, { 7, 1, 3 }, { 2, 33, 1 } }, at[] = { 10, 20, 30 };
    (void)state;
    for (size_t s = 0; s < 4; s++)
        for (int64_t max = 1; max < 130; max++) {
            const struct tt_region r = tt_region_make(3, at, sizes[s]);
            int64_t total, strides[3];
            assert_true(tt_numel(3, sizes[s], &total));
            tt_strides_row_major(strides, 3, sizes[s]);
            for (int64_t first = 0; first < total;) {
                struct tt_region piece;
                const int64_t n = tt_region_piece(&piece, &r, first, max);
                int64_t numel, begin = 0, end = 0;
                assert_true(tt_numel(3, piece.size, &numel));
                assert_int_equal(numel, n);
                assert_in_range(n, 1, max);
                for (int d = 0; d < 3; d++) {
                    begin += (piece.offset[d] - at[d]) * strides[d];
                    end += (piece.offset[d] - at[d] + piece.size[d] - 1) * strides[d];
                }
                assert_int_equal(begin, first);
                assert_int_equal(end - begin + 1, n); /* contiguous */
                first += n;
            }
        }
}

/* Walking with it meets each element of the region once, in order, and none besides; also from within a row. */
static void test_the_next_elements_of_a_region_are_found_from_anywhere(void **state)
{
    (void)state;
    static const int64_t shape[] = { 4, 3, 5 };
    static const struct tt_region regions[] = {
        { 3, { 0, 0, 0 }, { 4, 3, 5 } }, { 3, { 1, 0, 0 }, { 2, 3, 5 } }, { 3, { 0, 1, 2 }, { 4, 1, 2 } },
        { 3, { 2, 2, 4 }, { 2, 1, 1 } }, { 3, { 4, 0, 0 }, { 0, 3, 5 } }, { 3, { 1, 1, 0 }, { 3, 2, 4 } },
    };
    for (size_t i = 0; i < sizeof regions / sizeof *regions; i++) {
        const struct tt_region *r = &regions[i];
        for (int64_t at = 0; at <= 61; at++) {
            const struct tt_run run = tt_region_next(r, shape, at);
            int64_t first = 60, len = 0;
            for (int64_t j = at; j < 60 && len == 0; j++) {
                const int64_t index[] = { j / 15, j / 5 % 3, j % 5 };
                bool inside = true;
                for (int d = 0; d < 3; d++)
                    inside &= index[d] >= r->offset[d] && index[d] < r->offset[d] + r->size[d];
                if (inside) {
                    first = j;
                    len = r->offset[2] + r->size[2] - index[2];
                }
            }
            assert_int_equal(run.at, first);
            assert_int_equal(run.len, len);
        }
    }
    assert_int_equal(tt_region_next(&(struct tt_region){ 0 }, NULL, 0).len, 1);
    assert_int_equal(tt_region_next(&(struct tt_region){ 0 }, NULL, 1).len, 0);
}

static void test_boxes_are_copied_through_any_strides(void **state)
{
    static const size_t units[] = { 1, 2, 4, 8, 16 };
    (void)state;
    for (size_t u = 0; u < 5; u++) {
        uint8_t src[2 * 3 * 4 * 16], dst[2 * 3 * 4 * 16] = { 0 };
        const int64_t size[] = { 2, 3, 4 }, from[] = { 12, 4, 1 }, to[] = { 1, 8, 2 };
        for (size_t i = 0; i < sizeof src; i++)
            src[i] = (uint8_t)(i * 7 + 1);
        tt_box_copy(dst, to, src, from, 3, size, units[u]);
        for (int64_t i = 0; i < 2; i++)
            for (int64_t j = 0; j < 3; j++)
                for (int64_t k = 0; k < 4; k++)
                    assert_memory_equal(dst + (size_t)(i + 8 * j + 2 * k) * units[u], src + (size_t)(12 * i + 4 * j + k) * units[u],
                                        units[u]);
    }
}

/* Sizes around those of the blocks that a copy is made in, and another dimension around them, between them or in them. */
static void test_boxes_are_turned_in_blocks(void **state)
{
    static const size_t units[] = { 1, 2, 4, 8, 16 };
    static const int64_t sizes[] = { 1, 2, 7, 8, 9, 16, 33, 64, 71, 130 };
    enum { MOST = 130 * 130 * 2 * 16 };
    uint8_t *src = malloc(MOST), *dst = malloc(MOST + 1);
    (void)state;
    for (int i = 0; i < MOST; i++)
        src[i] = (uint8_t)((uint32_t)i * 2654435761u >> 24);
    for (size_t u = 0; u < 5; u++)
        for (int round = 0; round < 300; round++) {
            const int64_t r = sizes[round % 10], c = sizes[round / 10 % 10];
            const int64_t size[] = { round / 100 == 0 ? 2 : r, round / 100 == 0 ? r : 2, c };
            const int64_t from[] = { size[1] * c, c, 1 };
            const int64_t to[3][3] = { { r * c, 1, r }, { 1, r * c, r }, { 2, 1, 2 * r } };
            const int64_t *out = to[round / 100];
            memset(dst, 0xa5, MOST + 1);
            tt_box_copy(dst, out, src, from, 3, size, units[u]);
            for (int64_t i = 0; i < size[0]; i++)
                for (int64_t j = 0; j < size[1]; j++)
                    for (int64_t k = 0; k < c; k++)
                        if (memcmp(dst + (size_t)(i * out[0] + j * out[1] + k * out[2]) * units[u],
                                   src + (size_t)(i * from[0] + j * from[1] + k) * units[u], units[u]) != 0)
                            fail_msg("unit %d, round %d: element (%d, %d, %d)", (int)units[u], round, (int)i, (int)j, (int)k);
            assert_int_equal(dst[(size_t)(2 * r * c) * units[u]], 0xa5);
        }
    free(src);
    free(dst);
}

static void test_strides_tell_whether_a_tensor_is_dense(void **state)
{
    const int64_t size[] = { 3, 1, 4 }, dense[] = { 4, 99, 1 }, turned[] = { 1, 3, 3 }, empty[] = { 3, 0, 4 };
    (void)state;
    assert_true(tt_strides_are_row_major(3, size, dense));
    assert_false(tt_strides_are_row_major(3, size, turned));
    assert_true(tt_strides_are_row_major(3, empty, turned));
    assert_true(tt_strides_are_row_major(0, NULL, NULL));
}

static uint32_t cast_f32(float f, enum tt_dtype to)
{
    uint32_t out = 0;
    tt_cast(&out, to, &f, TT_F32, 1);
    return out;
}

static void test_floats_round_to_nearest_with_ties_to_even(void **state)
{
    (void)state;
    assert_int_equal(cast_f32(1.0f, TT_F16), 0x3c00);
    assert_int_equal(cast_f32(1.0f + 0x1p-11f, TT_F16), 0x3c00); /* a tie, down to even */
    assert_int_equal(cast_f32(1.0f + 0x3p-11f, TT_F16), 0x3c02); /* a tie, up to even */
    assert_int_equal(cast_f32(65519.0f, TT_F16), 0x7bff);
    assert_int_equal(cast_f32(65520.0f, TT_F16), 0x7c00);
    assert_int_equal(cast_f32(-0x1p-25f, TT_F16), 0x8000);
    assert_int_equal(cast_f32(0x1.8p-25f, TT_F16), 0x0001);
    assert_int_equal(cast_f32(1.0f + 0x1p-8f, TT_BF16), 0x3f80);
    assert_int_equal(cast_f32(1.0f + 0x3p-8f, TT_BF16), 0x3f82);
    assert_int_equal(cast_f32(448.0f, TT_F8_E4M3FN), 0x7e);
    assert_int_equal(cast_f32(1e9f, TT_F8_E4M3FN), 0x7e);
    assert_int_equal(cast_f32(-1e9f, TT_F8_E5M2), 0xfc);
    assert_int_equal(cast_f32(-0.0f, TT_F8_E4M3FNUZ), 0);
    assert_int_equal(cast_f32(1e9f, TT_F8_E4M3FNUZ), 0x80);
}

static void test_every_small_float_goes_through_float32_and_back(void **state)
{
    static const enum tt_dtype types[] = { TT_F16, TT_BF16, TT_F8_E4M3FN, TT_F8_E5M2, TT_F8_E4M3FNUZ, TT_F8_E5M2FNUZ };
    (void)state;
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++)
        for (uint32_t v = 0; v < (tt_dtype_nbytes(types[t]) == 1 ? 256u : 65536u); v++) {
            float f;
            uint32_t back = 0;
            tt_cast(&f, TT_F32, &v, types[t], 1);
            tt_cast(&back, types[t], &f, TT_F32, 1);
            if (!isnan(f))
                assert_int_equal(back, v);
        }
}

/* What is not a whole block, at any address, and nothing beside it. */
static void check_loops(const struct tt_cast_loops *loops, enum tt_dtype type, size_t n, const uint32_t *bits)
{
    const size_t unit = tt_dtype_nbytes(type);
    uint8_t src[4 * 64 + 1], dst[4 * 64 + 5], back[4 * 64 + 5];

    memcpy(src + 1, bits, 4 * n);
    memset(dst, 0xa5, sizeof dst);
    loops->from_f32[type](dst + 1, src + 1, n);
    assert_int_equal(dst[0], 0xa5);
    assert_int_equal(dst[1 + n * unit], 0xa5);
    memset(back, 0xa5, sizeof back);
    loops->to_f32[type](back + 1, dst + 1, n);
    assert_int_equal(back[0], 0xa5);
    assert_int_equal(back[1 + n * 4], 0xa5);
    for (size_t i = 0; i < n; i++) {
        uint32_t small = 0, wide;
        float f;
        memcpy(&f, &bits[i], 4);
        small = tt_is_small_float(type) ? tt_f32_to_small(f, type) : tt_f32_to_bf16(f);
        assert_memory_equal(dst + 1 + i * unit, &small, unit);
        f = tt_is_small_float(type) ? tt_small_to_f32(small, type) : tt_bf16_to_f32((uint16_t)small);
        memcpy(&wide, &f, 4);
        assert_memory_equal(back + 1 + 4 * i, &wide, 4);
    }
}

static void test_every_instruction_set_casts_alike(void **state)
{
    static const enum tt_dtype types[] = { TT_F16, TT_BF16, TT_F8_E4M3FN, TT_F8_E5M2, TT_F8_E4M3FNUZ, TT_F8_E5M2FNUZ };
    uint32_t bits[64], seed = 1;
    (void)state;
    for (int round = 0; round < 2000; round++) {
        for (int i = 0; i < 64; i++) {
            seed = seed * 1664525 + 1013904223;
            /* Any float, and as often one near the range of the small types; ties too. */
            bits[i] = round % 2 ? seed : (seed & 0x8fffe000) + 0x38000000 + (seed % 3 ? 0 : 0x1000);
        }
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
            check_loops(&tt_cast_loops_base, types[t], (size_t)round % 65, bits);
            check_loops(tt_cast_loops_fast(), types[t], (size_t)round % 65, bits);
        }
    }
}

static void test_doubles_go_through_float32(void **state)
{
    double from[40];
    uint16_t got[40];
    (void)state;
    for (int i = 0; i < 40; i++)
        from[i] = 1 + 0x1p-8 + (i % 3 - 1) * 0x1p-40; /* near a tie of bfloat16, nearer than float32 tells */
    tt_cast(got, TT_BF16, from, TT_F64, 40);
    for (int i = 0; i < 40; i++)
        assert_int_equal(got[i], 0x3f80);
}

static void test_integers_and_booleans(void **state)
{
    const int64_t i = -300;
    int8_t narrow;
    uint8_t yes;
    float f;
    const uint64_t u = UINT64_MAX;
    const double zero = 0, nan = NAN;
    (void)state;
    tt_cast(&narrow, TT_I8, &i, TT_I64, 1);
    assert_int_equal(narrow, -44);
    tt_cast(&f, TT_F32, &u, TT_U64, 1);
    assert_true(f == 0x1p64f);
    tt_cast(&yes, TT_BOOL, &i, TT_I64, 1);
    assert_int_equal(yes, 1);
    tt_cast(&yes, TT_BOOL, &zero, TT_F64, 1);
    assert_int_equal(yes, 0);
    tt_cast(&yes, TT_BOOL, &nan, TT_F64, 1);
    assert_int_equal(yes, 1);
    assert_false(tt_cast_supported(TT_I32, TT_F32));
    assert_false(tt_cast_supported(TT_C64, TT_F32));
    assert_true(tt_cast_supported(TT_C64, TT_C64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numel_and_fits_withstand_any_number),
        cmocka_unit_test(test_regions_intersect),
        cmocka_unit_test(test_pieces_cover_a_region_once_and_in_order),
        cmocka_unit_test(test_the_next_elements_of_a_region_are_found_from_anywhere),
        cmocka_unit_test(test_boxes_are_copied_through_any_strides),
        cmocka_unit_test(test_boxes_are_turned_in_blocks),
        cmocka_unit_test(test_strides_tell_whether_a_tensor_is_dense),
        cmocka_unit_test(test_floats_round_to_nearest_with_ties_to_even),
        cmocka_unit_test(test_every_small_float_goes_through_float32_and_back),
        cmocka_unit_test(test_every_instruction_set_casts_alike),
        cmocka_unit_test(test_doubles_go_through_float32),
        cmocka_unit_test(test_integers_and_booleans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
