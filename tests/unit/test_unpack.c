/* Compressed items: read forward, at random, by many, and through the spill file. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "ckpt/load.h"
#include "ckpt/read.h"
#include "ckpt/unpack.h"
#include "ckpt/write.h"

#define assert_ok(call)              \
    do {                             \
        struct tt_err e_ = { 0 };    \
        const tt_status s_ = (call); \
        if (s_ != TT_OK)             \
            fail_msg("%s", e_.msg);  \
    } while (0)

/* 6 MB of ints that do not compress away: more than one block, and than zstd's window. */
enum { ROWS = 1500, COLS = 1000, NUMEL = ROWS * COLS, BANDS = 12, BAND = COLS / BANDS };
enum { WIDE = 10 }; /* rows one behind the other, so that columns lie far apart */
static const int64_t shape[] = { ROWS, COLS }, wide_shape[] = { ROWS / WIDE, COLS *WIDE }, top[] = { 0, 0 };

struct fixture {
    char dir[64], whole[96], bands[96], wide[96], out[96];
    int32_t data[NUMEL], got[NUMEL];
};

/* The tensor as DCP items, compressed: the boxes, all in one file. */
static void save(const struct fixture *f, const char *path, const int64_t *of, const struct tt_placed *placed, uint32_t nplaced)
{
    struct tt_ckpt *memory = NULL;
    struct tt_recipe recipe = { 0 };
    struct tt_chunk chunk = { .codec = TT_CODEC_MEMORY, .offsets = top, .sizes = of, .data = f->data };
    const struct tt_entry entry = {
        .fqn = "w", .kind = TT_ENTRY_TENSOR, .dtype = TT_I32, .ndim = 2, .shape = of, .chunks = &chunk, .nchunks = 1
    };
    const struct tt_target target = { .format = TT_CKPT_DCP, .path = path, .zstd_level = 3 };

    assert_ok(tt_ckpt_memory(&memory, &e_));
    assert_ok(tt_entries_add(&memory->entries, &entry, &e_));
    assert_ok(tt_recipe_add_entry(&recipe, memory, &memory->entries.items[0], &e_));
    recipe.items[0].placed = placed;
    recipe.items[0].nplaced = nplaced;
    assert_ok(tt_recipe_write(&recipe, &target, NULL, NULL, &e_));
    tt_recipe_release(&recipe);
    tt_ckpt_close(memory);
}

static int set_up(void **state)
{
    static int64_t offsets[BANDS][2], sizes[BANDS][2];
    struct tt_placed bands[BANDS];
    struct fixture *f = calloc(1, sizeof *f);
    uint32_t x = 1;

    strcpy(f->dir, "/tmp/titan-test-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->whole, sizeof f->whole, "%s/whole", f->dir);
    snprintf(f->bands, sizeof f->bands, "%s/bands", f->dir);
    snprintf(f->wide, sizeof f->wide, "%s/wide", f->dir);
    snprintf(f->out, sizeof f->out, "%s/out", f->dir);
    for (int i = 0; i < NUMEL; i++) {
        x = x * 1664525 + 1013904223;
        f->data[i] = (int32_t)x;
    }
    for (int b = 0; b < BANDS; b++) {
        offsets[b][1] = b * BAND;
        sizes[b][0] = ROWS;
        sizes[b][1] = b + 1 < BANDS ? BAND : COLS - b * BAND;
        bands[b] = (struct tt_placed){ .offsets = offsets[b], .sizes = sizes[b] };
    }
    save(f, f->whole, shape, NULL, 0);
    save(f, f->bands, shape, bands, BANDS);
    save(f, f->wide, wide_shape, NULL, 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    const int failed = tt_remove_all(f->dir, NULL) != TT_OK;
    free(f);
    return failed;
}

struct open {
    struct tt_ckpt *ckpt;
    const struct tt_entry *w;
    struct tt_reader *reader;
    struct tt_verify verify;
};

static void open_one(struct open *o, const char *path)
{
    assert_ok(tt_ckpt_open(&o->ckpt, path, &e_));
    assert_ok(tt_verify_init(&o->verify, &e_));
    assert_ok(tt_reader_new(&o->reader, o->ckpt, &o->verify, NULL, &e_));
    o->w = tt_entries_find(&o->ckpt->entries, "w");
    assert_non_null(o->w);
    assert_int_equal(o->w->chunks[0].codec, TT_CODEC_ZSTD);
}

static void close_one(struct open *o)
{
    tt_reader_free(o->reader);
    tt_verify_release(&o->verify);
    tt_ckpt_close(o->ckpt);
}

static void check_box(struct open *o, const struct fixture *f, int64_t r, int64_t c, int64_t nr, int64_t nc)
{
    int32_t *dst = malloc((size_t)(nr * nc) * sizeof *dst);
    const struct tt_region want = tt_region_make(2, (const int64_t[]){ r, c }, (const int64_t[]){ nr, nc });
    const int64_t width = o->w->shape[1];

    assert_non_null(dst);
    assert_ok(tt_read_region(o->reader, o->w, &want, dst, &e_));
    for (int64_t i = 0; i < nr; i++)
        assert_memory_equal(dst + i * nc, f->data + (r + i) * width + c, (size_t)nc * sizeof *dst);
    free(dst);
}

static bool has_spilled(const struct open *o) { return o->ckpt->files.spill.path != NULL; }

static void test_a_tensor_read_forward_is_not_spilled(void **state)
{
    const struct fixture *f = *state;
    struct open o;
    open_one(&o, f->whole);
    for (int64_t r = 0; r < ROWS; r += 100)
        check_box(&o, f, r, 0, 100, COLS);
    assert_false(has_spilled(&o));
    close_one(&o);
}

static void test_rows_that_are_wanted_alone_are_found(void **state)
{
    const struct fixture *f = *state;
    struct open o;
    open_one(&o, f->whole);
    check_box(&o, f, 3, 5, 2, 7); /* in what stays in memory of every item */
    check_box(&o, f, 700, 0, 100, COLS);
    check_box(&o, f, 1499, 999, 1, 1);
    close_one(&o);
}

/* Where a plain file is read by a call a row. */
static void test_columns_far_apart_are_found(void **state)
{
    const struct fixture *f = *state;
    struct open o;
    open_one(&o, f->wide);
    check_box(&o, f, 0, 5, ROWS / WIDE, 3);
    tt_reader_read_exactly(o.reader);
    check_box(&o, f, 1, 7000, ROWS / WIDE - 1, 300);
    close_one(&o);
}

/* As threads do that read one item: the second piece first. What was passed over was kept, a piece of it or all. */
static void test_pieces_in_almost_the_right_order_are_decoded_once(void **state)
{
    const struct fixture *f = *state;
    struct open o;
    open_one(&o, f->whole);
    for (int64_t r = 0; r < ROWS; r += 300) {
        check_box(&o, f, r + 150, 0, 150, COLS);
        check_box(&o, f, r, 0, 150, COLS);
    }
    assert_true(has_spilled(&o));
    assert_in_range(o.ckpt->files.spill_end, 1, NUMEL * 4 + (2 << 20)); /* room for the item, once */
    close_one(&o);
}

static void test_any_order_gives_the_elements(void **state)
{
    const struct fixture *f = *state;
    for (int n = 0; n < 2; n++) {
        struct open o;
        uint32_t x = 7;
        open_one(&o, n ? f->bands : f->whole);
        for (int i = 0; i < 60; i++) {
            x = x * 1664525 + 1013904223;
            const int64_t r = x >> 8 & 1023, c = x >> 18 & 511;
            check_box(&o, f, r, c, 1 + (x & 127), 1 + (x >> 3 & 255));
        }
        assert_true(has_spilled(&o));
        close_one(&o);
    }
}

static void test_more_bands_than_may_be_open_are_decoded_twice_at_most(void **state)
{
    const struct fixture *f = *state;
    struct open o;
    open_one(&o, f->bands);
    for (int64_t r = 0; r < ROWS; r += 250)
        check_box(&o, f, r, 0, 250, COLS);
    close_one(&o);
}

static void test_threads_share_what_is_decoded(void **state)
{
    struct fixture *f = *state;
    struct tt_pool *pool = NULL;
    assert_ok(tt_pool_new(&pool, 4, &e_));
    for (int n = 0; n < 2; n++) {
        struct tt_ckpt *ckpt = NULL;
        const struct tt_want want = { .fqn = "w", .dtype = TT_I32, .ndim = 2, .shape = shape, .dst = f->got };
        memset(f->got, 0, sizeof f->got);
        assert_ok(tt_ckpt_open(&ckpt, n ? f->bands : f->whole, &e_));
        assert_ok(tt_ckpt_load(ckpt, &want, 1, pool, &e_));
        assert_memory_equal(f->got, f->data, sizeof f->data);
        tt_ckpt_close(ckpt);
    }
    tt_pool_free(pool);
}

/* --- plans ---------------------------------------------------------------------------------------------------------------------- */

/* Into a plain folder whose chunks are these; returns what the plan says that it spills. */
static uint64_t reshard_into(const struct fixture *f, const char *from, const struct tt_placed *placed, uint32_t nplaced,
                             const char *const *files, size_t nfiles)
{
    struct tt_ckpt *ckpt = NULL;
    struct tt_recipe recipe = { 0 };
    struct tt_write_stats stats = { 0 };
    const struct tt_target target = { .format = TT_CKPT_DCP, .path = f->out, .files = files, .nfiles = nfiles };
    const struct tt_write_opts opts = { .force = true };

    assert_ok(tt_ckpt_open(&ckpt, from, &e_));
    assert_ok(tt_recipe_add_entry(&recipe, ckpt, &ckpt->entries.items[0], &e_));
    recipe.items[0].placed = placed;
    recipe.items[0].nplaced = nplaced;
    assert_ok(tt_recipe_write(&recipe, &target, &opts, &stats, &e_));
    if (stats.spill_nbytes)
        assert_int_equal(strncmp(ckpt->files.spill.path, f->dir, strlen(f->dir)), 0); /* beside the output */
    tt_recipe_release(&recipe);
    tt_ckpt_close(ckpt);
    return stats.spill_nbytes;
}

static uint64_t reshard(const struct fixture *f, const char *from, const struct tt_placed *placed, uint32_t nplaced)
{
    return reshard_into(f, from, placed, nplaced, NULL, 0);
}

static void assert_out_is_equal(struct fixture *f)
{
    struct tt_ckpt *ckpt = NULL;
    const struct tt_want want = { .fqn = "w", .dtype = TT_I32, .ndim = 2, .shape = shape, .dst = f->got };
    memset(f->got, 0, sizeof f->got);
    assert_ok(tt_ckpt_open(&ckpt, f->out, &e_));
    assert_ok(tt_ckpt_load(ckpt, &want, 1, NULL, &e_));
    assert_memory_equal(f->got, f->data, sizeof f->data);
    tt_ckpt_close(ckpt);
}

static void test_a_plan_says_what_it_spills(void **state)
{
    struct fixture *f = *state;
    static const int64_t half[] = { ROWS, COLS / 2 }, second[] = { 0, COLS / 2 };
    const struct tt_placed halves[] = { { .offsets = top, .sizes = half }, { .offsets = second, .sizes = half } };

    assert_int_equal(reshard(f, f->whole, NULL, 0), 0); /* one reader, forward */
    assert_out_is_equal(f);
    assert_in_range(reshard(f, f->whole, halves, 2), NUMEL * 4, NUMEL * 4 + (1 << 20)); /* each reads all rows */
    assert_out_is_equal(f);
    assert_in_range(reshard(f, f->bands, NULL, 0), NUMEL * 4, NUMEL * 4 + (1 << 20)); /* too many at once */
    assert_out_is_equal(f);
}

/* The boxes come in any order, and lie in files of their own; rows that two want are read twice. */
static void test_rows_are_scattered_as_they_are_decoded(void **state)
{
    struct fixture *f = *state;
    static const int64_t rows_at[][2] = { { 1000, 0 }, { 0, 0 }, { 500, 0 } }, rows[] = { 500, COLS };
    static const int64_t grid_at[][2] = { { 500, 0 }, { 0, 0 }, { 0, COLS / 2 } };
    static const int64_t grid[][2] = { { 1000, COLS }, { 500, COLS / 2 }, { 500, COLS / 2 } };
    static const char *const names[] = { "__0_0.distcp", "__1_0.distcp", "__2_0.distcp" };
    struct tt_placed placed[3];

    for (uint32_t i = 0; i < 3; i++)
        placed[i] = (struct tt_placed){ .offsets = rows_at[i], .sizes = rows, .file = i };
    assert_int_equal(reshard_into(f, f->whole, placed, 3, names, 3), 0);
    assert_out_is_equal(f);
    for (uint32_t i = 0; i < 3; i++)
        placed[i] = (struct tt_placed){ .offsets = grid_at[i], .sizes = grid[i], .file = i };
    assert_in_range(reshard_into(f, f->whole, placed, 3, names, 3), NUMEL * 4, NUMEL * 4 + (1 << 20));
    assert_out_is_equal(f);
}

static tt_status convert(const struct fixture *f, const char *from, bool no_verify, struct tt_err *err)
{
    struct tt_ckpt *ckpt = NULL;
    const struct tt_target target = { .format = TT_CKPT_DCP, .path = f->out };
    const struct tt_write_opts opts = { .force = true, .no_verify = no_verify };
    tt_status st = tt_ckpt_open(&ckpt, from, err);
    if (st == TT_OK)
        st = tt_ckpt_write(ckpt, &target, &opts, err);
    tt_ckpt_close(ckpt);
    return st;
}

static void test_a_wrong_crc_inside_is_seen_unless_nobody_looks(void **state)
{
    const struct fixture *f = *state;
    struct tt_err err = { .msg = "" };
    assert_int_equal(convert(f, "tests/golden/bad/zstd-crc", false, &err), TT_EFORMAT);
    assert_non_null(strstr(err.msg, "expected CRC-32 91e79017, found 5c83e8cf"));
    assert_ok(convert(f, "tests/golden/bad/zstd-crc", true, &e_));
}

/* What lies at `at` of the only file is another byte. */
static void flip(const char *folder, off_t at)
{
    char path[128];
    uint8_t byte;
    snprintf(path, sizeof path, "%s/__0_0.distcp", folder);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseeko(file, at, SEEK_SET), 0);
    assert_int_equal(fread(&byte, 1, 1, file), 1);
    byte ^= 4;
    assert_int_equal(fseeko(file, at, SEEK_SET), 0);
    assert_int_equal(fwrite(&byte, 1, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

/* In the middle of stored blocks: zstd does not see it, the CRC of the storage does, whether it is read forward or spilled. */
static void test_damage_in_a_large_item_is_seen(void **state)
{
    struct fixture *f = *state;
    static const int64_t half[] = { ROWS, COLS / 2 }, second[] = { 0, COLS / 2 };
    const struct tt_placed halves[] = { { .offsets = top, .sizes = half }, { .offsets = second, .sizes = half } };

    flip(f->whole, NUMEL * 2);
    for (int n = 0; n < 2; n++) {
        struct tt_ckpt *ckpt = NULL;
        struct tt_recipe recipe = { 0 };
        struct tt_err err = { .msg = "" };
        const struct tt_target target = { .format = TT_CKPT_DCP, .path = f->out };
        const struct tt_write_opts opts = { .force = true };
        assert_ok(tt_ckpt_open(&ckpt, f->whole, &e_));
        assert_ok(tt_recipe_add_entry(&recipe, ckpt, &ckpt->entries.items[0], &e_));
        recipe.items[0].placed = n ? halves : NULL;
        recipe.items[0].nplaced = n ? 2 : 0;
        assert_int_equal(tt_recipe_write(&recipe, &target, &opts, NULL, &err), TT_EFORMAT);
        if (!strstr(err.msg, "whole/__0_0.distcp: key w: item at 0: expected CRC-32"))
            fail_msg("%s", err.msg);
        tt_recipe_release(&recipe);
        tt_ckpt_close(ckpt);
    }
    flip(f->whole, NUMEL * 2);
}

static void test_tensors_inside_a_compressed_value_are_read(void **state)
{
    const struct fixture *f = *state;
    assert_ok(convert(f, "tests/golden/dcp-zstd", false, &e_));
    struct tt_ckpt *plain = NULL, *packed = NULL;
    const struct tt_value *a = NULL, *b = NULL;
    assert_ok(tt_ckpt_open(&plain, f->out, &e_));
    assert_ok(tt_ckpt_open(&packed, "tests/golden/dcp-zstd", &e_));
    assert_ok(tt_ckpt_value(plain, "pair", &a, &e_));
    assert_ok(tt_ckpt_value(packed, "pair", &b, &e_));
    assert_int_equal(a->u.list.n, 2);
    assert_int_equal(a->u.list.items[0]->kind, TT_V_TENSOR);
    assert_int_equal(b->u.list.items[0]->kind, TT_V_TENSOR);
    tt_ckpt_close(plain);
    tt_ckpt_close(packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_tensor_read_forward_is_not_spilled),
        cmocka_unit_test(test_rows_that_are_wanted_alone_are_found),
        cmocka_unit_test(test_columns_far_apart_are_found),
        cmocka_unit_test(test_pieces_in_almost_the_right_order_are_decoded_once),
        cmocka_unit_test(test_any_order_gives_the_elements),
        cmocka_unit_test(test_more_bands_than_may_be_open_are_decoded_twice_at_most),
        cmocka_unit_test(test_threads_share_what_is_decoded),
        cmocka_unit_test(test_a_plan_says_what_it_spills),
        cmocka_unit_test(test_rows_are_scattered_as_they_are_decoded),
        cmocka_unit_test(test_a_wrong_crc_inside_is_seen_unless_nobody_looks),
        cmocka_unit_test(test_damage_in_a_large_item_is_seen),
        cmocka_unit_test(test_tensors_inside_a_compressed_value_are_read),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
