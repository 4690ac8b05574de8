/* A .distcp file cut at every length and with bits flipped, read by all who read it: the load of a run that resumes,
 * titan-ckpt-inspect's list and titan-dcp2pt's conversion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "base/file.h"
#include "ckpt/ckpt.h"
#include "ckpt/list.h"
#include "ckpt/load.h"
#include "ckpt/write.h"

struct fixture {
    char dir[64], file[96], out[96];
    struct tt_buf whole; /* the undamaged file */
    FILE *null;
};

#define GOLDENS "tests/golden/dialects/"

static bool read_golden(struct tt_buf *out, const char *golden, const char *name)
{
    char path[96];
    snprintf(path, sizeof path, GOLDENS "%s/%s", golden, name);
    return tt_file_read_all(out, path, 1 << 20, NULL) == TT_OK;
}

static int set_up_from(void **state, const char *golden)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct tt_buf metadata = { 0 };
    char path[96];

    strcpy(f->dir, "/dev/shm/titan-test-XXXXXX"); /* where fsync costs nothing */
    if (!mkdtemp(f->dir)) {
        strcpy(f->dir, "/tmp/titan-test-XXXXXX");
        if (!mkdtemp(f->dir))
            return -1;
    }
    snprintf(f->file, sizeof f->file, "%s/__0_0.distcp", f->dir);
    snprintf(f->out, sizeof f->out, "%s.pt", f->dir);
    snprintf(path, sizeof path, "%s/.metadata", f->dir);
    f->null = fopen("/dev/null", "w");
    const bool ok = f->null && read_golden(&metadata, golden, ".metadata") &&
                    tt_file_write_all(path, metadata.data, metadata.len, NULL) == TT_OK &&
                    read_golden(&f->whole, golden, "__0_0.distcp");
    tt_buf_release(&metadata);
    *state = f;
    return ok ? 0 : -1;
}

static int set_up(void **state) { return set_up_from(state, "torch-2.13"); }
static int set_up_zstd(void **state) { return set_up_from(state, "zstd-1.2"); }

static int tear_down(void **state)
{
    struct fixture *f = *state;
    const int failed = tt_remove_all(f->dir, NULL) != TT_OK || tt_remove_all(f->out, NULL) != TT_OK;
    tt_buf_release(&f->whole);
    fclose(f->null);
    free(f);
    return failed;
}

/* --- the three readers
 * ------------------------------------------------------------------------------------------------------------- */

/* w is 3 x 3, in two chunks; a.n is an int. */
struct content {
    float w[9];
    int64_t n;
};

static tt_status load(const struct fixture *f, struct content *out, struct tt_err *err)
{
    static const int64_t shape[] = { 3, 3 };
    struct tt_ckpt *ckpt = NULL;
    const struct tt_value *n = NULL;
    tt_status st = tt_ckpt_open(&ckpt, f->dir, err);

    if (st != TT_OK)
        return st;
    const struct tt_want want = { .fqn = "w", .dtype = TT_F32, .ndim = 2, .shape = shape, .dst = out->w };
    st = tt_ckpt_load(ckpt, &want, 1, NULL, err);
    if (st == TT_OK)
        st = tt_ckpt_value(ckpt, "a.n", &n, err);
    if (st == TT_OK)
        out->n = n->kind == TT_V_INT ? n->u.i : -1;
    tt_ckpt_close(ckpt);
    return st;
}

static tt_status list(const struct fixture *f, struct tt_err *err)
{
    const struct tt_ckpt_list_opts how = { .form = TT_LIST_JSON };
    return tt_ckpt_list(f->null, f->dir, &how, err);
}

static tt_status convert(const struct fixture *f, struct tt_err *err)
{
    struct tt_ckpt *ckpt = NULL;
    tt_status st = tt_ckpt_open(&ckpt, f->dir, err);
    if (st == TT_OK)
        st = tt_ckpt_write(ckpt, &(struct tt_target){ .format = TT_CKPT_PT, .path = f->out },
                                               &(struct tt_write_opts){ .force = true }, err);
    tt_ckpt_close(ckpt);
    return st;
}

/* File, and what in it: the key, or the offset. */
static void assert_names_place(const struct fixture *f, const struct tt_err *err, size_t at)
{
    if (!strstr(err->msg, f->file) || (!strstr(err->msg, "key w") && !strstr(err->msg, "key a.n") && !strstr(err->msg, "offset")))
        fail_msg("damage at %zu: \"%s\"", at, err->msg);
}

static void put_file(const struct fixture *f, size_t n)
{
    FILE *file = fopen(f->file, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(f->whole.data, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void test_the_whole_file_is_read_by_all(void **state)
{
    struct fixture *f = *state;
    struct tt_err err;
    struct content c;
    put_file(f, f->whole.len);
    assert_int_equal(load(f, &c, &err), TT_OK);
    assert_int_equal(list(f, &err), TT_OK);
    assert_int_equal(convert(f, &err), TT_OK);
}

/* Whatever is cut off belongs to the last item, a tensor: the list, which reads values alone, misses it when a value is hit. */
static void assert_truncations_name_their_place(const struct fixture *f, size_t unlisted_min)
{
    size_t unlisted = 0;

    for (size_t n = 0; n < f->whole.len; n++) {
        struct tt_err err = { .msg = "" };
        struct content c;
        put_file(f, n);
        assert_int_equal(load(f, &c, &err), TT_EFORMAT);
        assert_names_place(f, &err, n);
        assert_int_equal(convert(f, &err), TT_EFORMAT);
        assert_names_place(f, &err, n);
        assert_false(tt_path_exists(f->out));
        if (list(f, &err) != TT_OK) {
            unlisted++;
            assert_names_place(f, &err, n);
        }
    }
    assert_in_range(unlisted, unlisted_min, f->whole.len);
}

static void test_every_truncation_is_an_error_that_names_its_place(void **state) { assert_truncations_name_their_place(*state, 1000); }

static void test_every_truncation_of_compressed_items_names_its_place(void **state) { assert_truncations_name_their_place(*state, 500); }

/* Every third bit, so that each byte has some. What is read nevertheless is what was written: values and data stand under a CRC. */
static void test_no_flipped_bit_changes_what_is_read(void **state)
{
    struct fixture *f = *state;
    struct content whole = { 0 };
    size_t refused = 0, tried = 0;

    put_file(f, f->whole.len);
    assert_int_equal(load(f, &whole, NULL), TT_OK);
    FILE *file = fopen(f->file, "r+b");
    assert_non_null(file);
    setbuf(file, NULL);
    for (size_t bit = 0; bit < 8 * f->whole.len; bit += 3, tried++) {
        struct tt_err err = { .msg = "" };
        struct content c = { 0 };
        const size_t at = bit / 8;
        assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
        assert_int_not_equal(fputc(f->whole.data[at] ^ 1 << bit % 8, file), EOF);
        if (load(f, &c, &err) != TT_OK) {
            refused++;
            assert_names_place(f, &err, at);
        } else if (memcmp(&c, &whole, sizeof c) != 0) {
            fail_msg("bit %zu of byte %zu changes what is read", bit % 8, at);
        }
        if (bit % 16 == 0 && convert(f, &err) != TT_OK)
            assert_names_place(f, &err, at);
        if (bit % 16 == 1 && list(f, &err) != TT_OK)
            assert_names_place(f, &err, at);
        assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
        assert_int_not_equal(fputc(f->whole.data[at], file), EOF);
    }
    fclose(file);
    assert_in_range(refused, tried / 5, tried);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_whole_file_is_read_by_all),
        TEST(test_every_truncation_is_an_error_that_names_its_place),
        cmocka_unit_test_setup_teardown(test_every_truncation_of_compressed_items_names_its_place, set_up_zstd, tear_down),
        TEST(test_no_flipped_bit_changes_what_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
