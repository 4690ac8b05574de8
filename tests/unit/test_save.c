#define _GNU_SOURCE
/* Saving to a DCP folder and loading from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "ckpt/ckpt.h"
#include "ckpt/load.h"
#include "ckpt/save.h"
#include "format/pickle_value.h"
#include "tensor/cast.h"

#define assert_ok(call)              \
    do {                             \
        struct tt_err e_ = { 0 };    \
        const tt_status s_ = (call); \
        if (s_ != TT_OK)             \
            fail_msg("%s", e_.msg);  \
    } while (0)

struct fixture {
    char dir[64], step[96];
    struct tt_arena arena;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->dir, "/tmp/titan-test-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->step, sizeof f->step, "%s/checkpoint/step-5", f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    const int failed = tt_remove_all(f->dir, NULL) != TT_OK;
    tt_arena_release(&f->arena);
    free(f);
    return failed;
}

static const int64_t shape[] = { 3, 5 };
static const struct tt_path_part step_path[] = { { "train_state", 0 }, { "step", 0 } };

static void save_one(const char *dir, const float *w, int64_t step, struct tt_arena *arena)
{
    const struct tt_save_item items[] = {
        { .fqn = "w.weight", .dtype = TT_F32, .ndim = 2, .shape = shape, .data = w },
        { .fqn = "train_state.step", .path = step_path, .npath = 2, .value = tt_value_int(arena, step) },
        { .fqn = "scalar", .dtype = TT_F32, .data = w + 3 },
    };
    assert_ok(tt_dcp_save(dir, items, 3, NULL, &e_));
}

static void fill(float *w, float first)
{
    for (int i = 0; i < 15; i++)
        w[i] = first + (float)i;
}

static void test_what_was_saved_is_loaded(void **state)
{
    struct fixture *f = *state;
    float w[15], got[15] = { 0 }, scalar = 0;
    struct tt_ckpt *ckpt = NULL;
    const struct tt_value *step = NULL;

    fill(w, 1);
    save_one(f->step, w, 5, &f->arena);
    assert_ok(tt_ckpt_open(&ckpt, f->step, &e_));
    const struct tt_want wants[] = {
        { .fqn = "w.weight", .dtype = TT_F32, .ndim = 2, .shape = shape, .dst = got },
        { .fqn = "scalar", .dtype = TT_F32, .dst = &scalar },
    };
    assert_ok(tt_ckpt_load(ckpt, wants, 2, NULL, &e_));
    assert_memory_equal(got, w, sizeof w);
    assert_true(scalar == w[3]);
    assert_ok(tt_ckpt_value(ckpt, "train_state.step", &step, &e_));
    assert_int_equal(step->kind, TT_V_INT);
    assert_int_equal(step->u.i, 5);
    tt_ckpt_close(ckpt);
}

/* --- the folder --------------------------------------------------------------------------------------------------------------- */

static void assert_loads(const char *dir, const float *w)
{
    struct tt_ckpt *ckpt = NULL;
    float got[15] = { 0 };
    assert_ok(tt_ckpt_open(&ckpt, dir, &e_));
    const struct tt_want want = { .fqn = "w.weight", .dtype = TT_F32, .ndim = 2, .shape = shape, .dst = got };
    assert_ok(tt_ckpt_load(ckpt, &want, 1, NULL, &e_));
    assert_memory_equal(got, w, sizeof got);
    tt_ckpt_close(ckpt);
}

/* The names in the folder of the steps, each with a space behind it. */
static const char *names_in(struct fixture *f)
{
    char path[96], **names;
    size_t n;
    struct tt_buf text = { 0 };
    snprintf(path, sizeof path, "%s/checkpoint", f->dir);
    assert_ok(tt_dir_list(&f->arena, path, &names, &n, &e_));
    for (size_t i = 0; i < n; i++)
        tt_buf_printf(&text, "%s ", names[i]);
    char *copy = tt_arena_str(&f->arena, tt_buf_cstr(&text));
    tt_buf_release(&text);
    return copy;
}

static void test_a_step_is_replaced_whole(void **state)
{
    struct fixture *f = *state;
    char extra[128];
    float w[15];

    fill(w, 1);
    save_one(f->step, w, 5, &f->arena);
    snprintf(extra, sizeof extra, "%s/__1_0.distcp", f->step);
    assert_ok(tt_file_write_all(extra, "old", 3, &e_));
    fill(w, 100);
    save_one(f->step, w, 5, &f->arena);
    assert_loads(f->step, w);
    assert_false(tt_path_exists(extra));
    assert_string_equal(names_in(f), "step-5 ");
}

static void test_a_full_disk_leaves_the_earlier_step_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    float w[15];

    fill(w, 1);
    save_one(f->step, w, 5, &f->arena);
    /* From no room at all to just too little: the limit strikes in the data, and in .metadata. */
    for (rlim_t room = 0; room < 6000; room += 700) {
        const pid_t pid = fork();
        if (pid == 0) {
            const struct rlimit limit = { room, room };
            struct tt_err err = { 0 };
            signal(SIGXFSZ, SIG_IGN);
            setrlimit(RLIMIT_FSIZE, &limit);
            float other[15];
            fill(other, 50);
            const struct tt_save_item items[] = {
                { .fqn = "w.weight", .dtype = TT_F32, .ndim = 2, .shape = shape, .data = other },
                { .fqn = "a", .value = tt_value_int(&f->arena, 1) },
                { .fqn = "b", .value = tt_value_int(&f->arena, 1) },
                { .fqn = "c", .value = tt_value_int(&f->arena, 1) },
            };
            const tt_status st = tt_dcp_save(f->step, items, 4, NULL, &err);
            _exit(st == TT_EIO && strstr(err.msg, "File too large") ? 0 : st == TT_OK ? 7 : 1);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (room < 4500)
            assert_int_equal(status, 0);
        if (status == 0) {
            assert_loads(f->step, w);
            assert_string_equal(names_in(f), "step-5 ");
        }
        if (WIFEXITED(status) && WEXITSTATUS(status) == 7)
            break;
    }
}

/* A process is killed somewhere in its endless saving: what is there is one of the two steps, whole, and the next save clears
 * up. */
static void test_a_kill_leaves_a_whole_step(void **state)
{
    struct fixture *f = *state;
    float a[15], b[15];

    fill(a, 1);
    fill(b, 2);
    save_one(f->step, a, 5, &f->arena);
    for (int i = 0; i < 12; i++) {
        const pid_t pid = fork();
        if (pid == 0)
            for (int k = 0;; k++)
                save_one(f->step, k % 2 ? a : b, 5, &f->arena);
        usleep(3000 + (unsigned)i * 1700);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        struct tt_ckpt *ckpt = NULL;
        float got[15] = { 0 };
        assert_ok(tt_ckpt_open(&ckpt, f->step, &e_));
        const struct tt_want want = { .fqn = "w.weight", .dtype = TT_F32, .ndim = 2, .shape = shape, .dst = got };
        assert_ok(tt_ckpt_load(ckpt, &want, 1, NULL, &e_));
        assert_true(memcmp(got, a, sizeof a) == 0 || memcmp(got, b, sizeof b) == 0);
        tt_ckpt_close(ckpt);
        assert_null(strstr(names_in(f), "step-5.")); /* nothing else has a name that TorchTitan would take for a step */
    }
    save_one(f->step, a, 5, &f->arena);
    assert_string_equal(names_in(f), "step-5 ");
}

static void test_a_save_that_runs_is_not_cleared_away(void **state)
{
    struct fixture *f = *state;
    struct tt_dcp_save *running = NULL;
    float w[15];

    fill(w, 1);
    assert_ok(tt_dcp_save_begin(&running, f->step, NULL, &e_));
    char other[128];
    snprintf(other, sizeof other, "%s/checkpoint/step-6", f->dir);
    save_one(other, w, 6, &f->arena);
    assert_true(tt_path_is_dir(tt_dcp_save_tmp(running)));
    assert_null(strstr(tt_dcp_save_tmp(running), "step-"));
    tt_dcp_save_abandon(running);
    assert_string_equal(names_in(f), "step-6 ");
}

static void test_ranks_write_their_own_files(void **state)
{
    struct fixture *f = *state;
    static const int64_t at[2][2] = { { 0, 0 }, { 2, 0 } }, sizes[2][2] = { { 2, 5 }, { 1, 5 } };
    struct tt_entries written[2];
    const struct tt_entries *const ranks[] = { &written[0], &written[1] };
    struct tt_dcp_save *save = NULL;
    float w[15];

    fill(w, 1);
    memset(written, 0, sizeof written);
    assert_ok(tt_dcp_save_begin(&save, f->step, NULL, &e_));
    for (int r = 0; r < 2; r++) {
        const struct tt_save_item item = { .fqn = "w.weight", .dtype = TT_F32, .ndim = 2, .shape = shape, .offsets = at[r],
                                           .sizes = sizes[r], .data = w + 10 * r };
        assert_ok(tt_dcp_write_rank(&written[r], tt_dcp_save_tmp(save), r, &item, 1, NULL, &e_));
    }
    assert_ok(tt_dcp_save_commit(save, ranks, 2, &e_));
    assert_loads(f->step, w);
    tt_entries_release(&written[0]);
    tt_entries_release(&written[1]);
}

static void test_a_hole_between_ranks_is_not_saved(void **state)
{
    struct fixture *f = *state;
    static const int64_t at[] = { 0, 0 }, sizes[] = { 2, 5 };
    struct tt_entries written = { 0 };
    const struct tt_entries *const ranks[] = { &written };
    struct tt_dcp_save *save = NULL;
    struct tt_err err;
    float w[15];

    fill(w, 1);
    assert_ok(tt_dcp_save_begin(&save, f->step, NULL, &e_));
    const struct tt_save_item item = { .fqn = "w.weight", .dtype = TT_F32, .ndim = 2, .shape = shape, .offsets = at, .sizes = sizes,
                                       .data = w };
    assert_ok(tt_dcp_write_rank(&written, tt_dcp_save_tmp(save), 0, &item, 1, NULL, &e_));
    assert_int_not_equal(tt_dcp_save_commit(save, ranks, 1, &err), TT_OK);
    assert_non_null(strstr(err.msg, "there is a hole"));
    assert_string_equal(names_in(f), "");
    tt_entries_release(&written);
}

/* --- loading ------------------------------------------------------------------------------------------------------------------ */

/* All regions of a 5 x 6 tensor, out of chunks of every shape; element (i, j) is 6 i + j. */
static void test_any_region_comes_out_of_any_chunks(void **state)
{
    static const struct { const char *dir, *fqn; enum tt_dtype dtype; } tensors[] = {
        { "dcp-rows2", "rows", TT_F32 }, { "dcp-rows4", "rows", TT_F32 }, { "dcp-rows4", "cols", TT_F32 },
        { "dcp-grid4", "grid", TT_F64 }, { "dcp-grid4", "nested", TT_F32 }, { "dcp-grid4", "half", TT_BF16 },
    };
    static const int64_t whole[] = { 5, 6 };
    struct tt_pool *pool = NULL;
    (void)state;
    assert_ok(tt_pool_new(&pool, 3, &e_));
    for (size_t t = 0; t < sizeof tensors / sizeof tensors[0]; t++) {
        char path[100];
        struct tt_ckpt *ckpt = NULL;
        snprintf(path, sizeof path, "tests/golden/%s", tensors[t].dir);
        assert_ok(tt_ckpt_open(&ckpt, path, &e_));
        for (int k = 0; k < 15 * 21; k++) {
            static const int first[] = { 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 4, 5 };
            static const int last[] = { 1, 2, 3, 4, 5, 6, 2, 3, 4, 5, 6, 3, 4, 5, 6, 4, 5, 6, 5, 6, 6 };
            static const int row_first[] = { 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4 };
            static const int row_last[] = { 1, 2, 3, 4, 5, 2, 3, 4, 5, 3, 4, 5, 4, 5, 5 };
            const int64_t at[] = { row_first[k / 21], first[k % 21] };
            const int64_t sizes[] = { row_last[k / 21] - at[0], last[k % 21] - at[1] };
            uint8_t got[30 * 8];
            const struct tt_want want = { .fqn = tensors[t].fqn, .dtype = tensors[t].dtype, .ndim = 2, .shape = whole,
                                          .offsets = at, .sizes = sizes, .dst = got };
            assert_ok(tt_ckpt_load(ckpt, &want, 1, pool, &e_));
            for (int64_t i = 0; i < sizes[0] * sizes[1]; i++) {
                double v[30];
                tt_cast(v, TT_F64, got, tensors[t].dtype, (size_t)(sizes[0] * sizes[1]));
                assert_true(v[i] == (double)(6 * (at[0] + i / sizes[1]) + at[1] + i % sizes[1]));
            }
        }
        tt_ckpt_close(ckpt);
    }
    tt_pool_free(pool);
}

static void test_a_load_says_what_is_missing_or_other(void **state)
{
    static const int64_t other[] = { 3, 4 };
    struct fixture *f = *state;
    struct tt_ckpt *ckpt = NULL;
    struct tt_err err;
    float w[15];

    fill(w, 1);
    save_one(f->step, w, 5, &f->arena);
    assert_ok(tt_ckpt_open(&ckpt, f->step, &e_));
    const struct { struct tt_want want; tt_status st; const char *text; } cases[] = {
        { { .fqn = "none", .dst = w }, TT_ENOENT, "missing key in the checkpoint: none" },
        { { .fqn = "w.weight", .ndim = 2, .shape = other, .dst = w }, TT_EINVAL, "expected a tensor of (3, 4), found (3, 5)" },
        { { .fqn = "train_state.step", .dst = w }, TT_EINVAL, "expected a tensor of (), found a value" },
        { { .fqn = "w.weight", .dtype = TT_C64, .ndim = 2, .shape = shape, .dst = w }, TT_EUNSUPPORTED,
          "torch.float32 is not cast to torch.complex64" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(tt_ckpt_load(ckpt, &cases[i].want, 1, NULL, &err), cases[i].st);
        if (!strstr(err.msg, cases[i].text))
            fail_msg("expected \"%s\" in \"%s\"", cases[i].text, err.msg);
    }
    tt_ckpt_close(ckpt);
}

/* More than one block, a cast, several threads: 3 M elements in chunks of columns. */
static void test_large_tensors_go_through_in_blocks(void **state)
{
    enum { ROWS = 1500, COLS = 2000, HALF = COLS / 2 };
    static const int64_t whole[] = { ROWS, COLS }, at[2][2] = { { 0, 0 }, { 0, HALF } }, sizes[] = { ROWS, HALF };
    struct fixture *f = *state;
    float *halves = malloc(sizeof(float) * ROWS * COLS), *got = malloc(sizeof(float) * ROWS * COLS);
    struct tt_pool *pool = NULL;
    struct tt_ckpt *ckpt = NULL;

    assert_non_null(halves);
    assert_non_null(got);
    for (int h = 0; h < 2; h++)
        for (int i = 0; i < ROWS * HALF; i++)
            halves[h * ROWS * HALF + i] = (float)(i / HALF * COLS + h * HALF + i % HALF);
    assert_ok(tt_pool_new(&pool, 3, &e_));
    struct tt_save_item items[2];
    for (int h = 0; h < 2; h++)
        items[h] = (struct tt_save_item){ .fqn = "w", .dtype = TT_F32, .ndim = 2, .shape = whole, .offsets = at[h], .sizes = sizes,
                                          .data = halves + h * ROWS * HALF };
    const struct tt_save_opts opts = { .cast = true, .cast_dtype = TT_F64, .pool = pool };
    assert_ok(tt_dcp_save(f->step, items, 2, &opts, &e_));
    assert_ok(tt_ckpt_open(&ckpt, f->step, &e_));
    const struct tt_want want = { .fqn = "w", .dtype = TT_F32, .ndim = 2, .shape = whole, .dst = got };
    assert_ok(tt_ckpt_load(ckpt, &want, 1, pool, &e_));
    for (int i = 0; i < ROWS * COLS; i++)
        if (got[i] != (float)i)
            fail_msg("element %d is %g", i, (double)got[i]);
    tt_ckpt_close(ckpt);

    /* One bit of the second chunk, in the middle of the file: the CRC is that of all its blocks. */
    char path[128];
    snprintf(path, sizeof path, "%s/__0_0.distcp", f->step);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 20000000, SEEK_SET), 0);
    const int c = fgetc(file);
    assert_int_equal(fseek(file, 20000000, SEEK_SET), 0);
    assert_int_not_equal(fputc(c ^ 16, file), EOF);
    assert_int_equal(fclose(file), 0);
    struct tt_err err;
    assert_ok(tt_ckpt_open(&ckpt, f->step, &e_));
    assert_int_equal(tt_ckpt_load(ckpt, &want, 1, pool, &err), TT_EFORMAT);
    assert_non_null(strstr(err.msg, "key w: expected CRC-32"));
    tt_ckpt_close(ckpt);
    tt_pool_free(pool);
    free(halves);
    free(got);
}

/* One chunk a rank: more files than are kept open, and more than the process may open. */
static void test_few_descriptors_serve_many_files(void **state)
{
    enum { RANKS = 200 };
    static const int64_t whole[] = { RANKS, 5 }, sizes[] = { 1, 5 };
    struct fixture *f = *state;
    static struct tt_entries written[RANKS];
    const struct tt_entries *ranks[RANKS];
    struct tt_dcp_save *save = NULL;
    static float w[RANKS * 5], got[RANKS * 5];

    assert_ok(tt_dcp_save_begin(&save, f->step, NULL, &e_));
    for (int r = 0; r < RANKS; r++) {
        const int64_t at[] = { r, 0 };
        for (int i = 0; i < 5; i++)
            w[5 * r + i] = (float)(5 * r + i);
        const struct tt_save_item item = { .fqn = "w", .dtype = TT_F32, .ndim = 2, .shape = whole, .offsets = at, .sizes = sizes,
                                           .data = w + 5 * r };
        assert_ok(tt_dcp_write_rank(&written[r], tt_dcp_save_tmp(save), r, &item, 1, NULL, &e_));
        ranks[r] = &written[r];
    }
    assert_ok(tt_dcp_save_commit(save, ranks, RANKS, &e_));
    for (int r = 0; r < RANKS; r++)
        tt_entries_release(&written[r]);

    struct rlimit old, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    static const rlim_t limits[] = { 256, 16 };
    for (int l = 0; l < 2; l++) {
        struct tt_pool *pool = NULL;
        struct tt_ckpt *ckpt = NULL;
        low = (struct rlimit){ limits[l], old.rlim_max };
        assert_ok(tt_pool_new(&pool, 4, &e_));
        assert_ok(tt_ckpt_open(&ckpt, f->step, &e_));
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        const struct tt_want want = { .fqn = "w", .dtype = TT_F32, .ndim = 2, .shape = whole, .dst = got };
        memset(got, 0, sizeof got);
        for (int again = 0; again < 2; again++)
            assert_ok(tt_ckpt_load(ckpt, &want, 1, pool, &e_));
        assert_memory_equal(got, w, sizeof got);
        assert_in_range(ckpt->files.nopen, 1, TT_FILES_OPEN_MAX);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        tt_ckpt_close(ckpt);
        tt_pool_free(pool);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_saved_is_loaded),
        TEST(test_a_step_is_replaced_whole),
        TEST(test_a_full_disk_leaves_the_earlier_step_and_nothing_else),
        TEST(test_a_kill_leaves_a_whole_step),
        TEST(test_a_save_that_runs_is_not_cleared_away),
        TEST(test_ranks_write_their_own_files),
        TEST(test_a_hole_between_ranks_is_not_saved),
        TEST(test_any_region_comes_out_of_any_chunks),
        TEST(test_a_load_says_what_is_missing_or_other),
        TEST(test_large_tensors_go_through_in_blocks),
        TEST(test_few_descriptors_serve_many_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
