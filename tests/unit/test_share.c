/* What each rank of a job holds and writes: drawn, saved by all of them, loaded by other jobs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "ckpt/ckpt.h"
#include "ckpt/crc_share.h"
#include "test_flavor.h"
#include "train/init.h"
#include "train/share.h"
#include "train/state.h"

static struct tt_err err;

#define OK(expr)                    \
    do {                            \
        if ((expr) != TT_OK)        \
            fail_msg("%s", err.msg); \
    } while (0)

/* A rank with its part of the state. */
struct rank {
    struct tt_arena arena;
    struct tt_mesh mesh;
    struct tt_region *part;
    struct tt_state_tensor *tensors;
    struct tt_train_state state;
};

/* A job of some shape. */
struct shape {
    struct tt_arena arena;
    struct tt_config config;
    struct tt_job job;
    struct rank *rank;
    int n;
};

static size_t nbytes_of(const struct tt_region *part)
{
    int64_t n;
    assert_true(tt_numel(part->ndim, part->size, &n));
    return (size_t)n * sizeof(float);
}

static void begin_rank(struct rank *r, const struct shape *s, int rank)
{
    const struct tt_params *params = &s->job.params;
    void **value = tt_arena_array(&r->arena, (size_t)params->n, sizeof *value);

    r->mesh = (struct tt_mesh){ s->job.degrees, rank };
    r->part = tt_arena_array(&r->arena, (size_t)params->n, sizeof *r->part);
    r->tensors = tt_arena_array(&r->arena, (size_t)params->n, sizeof *r->tensors);
    OK(tt_share_parts(r->part, (struct tt_job *)&s->job, &r->mesh, &err));
    for (int i = 0; i < params->n; i++) {
        struct tt_state_tensor *t = &r->tensors[i];
        const size_t nbytes = nbytes_of(&r->part[i]);
        *t = (struct tt_state_tensor){ .fqn = params->p[i].fqn, .dtype = TT_F32, .ndim = params->p[i].ndim, .shape = params->p[i].size,
                                       .offsets = r->part[i].offset, .sizes = r->part[i].size,
                                       .weight = tt_arena_alloc(&r->arena, nbytes + 1), .exp_avg = tt_arena_alloc(&r->arena, nbytes + 1),
                                       .exp_avg_sq = tt_arena_alloc(&r->arena, nbytes + 1) };
        value[i] = t->weight;
    }
    OK(tt_init_draw(params, &s->job.args, 7, TT_F32, r->part, value, NULL, &err));
    r->state = (struct tt_train_state){ .tensors = r->tensors, .ntensors = (size_t)params->n, .optimizer_steps = 3, .step = 3 };
}

static void begin(struct shape *s, int nranks, const char *replicate, const char *shard, const char *tp)
{
    char path[64];
    snprintf(path, sizeof path, "%s/tiny.yaml", folder);
    char *argv[] = { "titan-train", "--model.flavor", path, "--parallelism.data_parallel_replicate_degree", (char *)replicate,
                     "--parallelism.data_parallel_shard_degree", (char *)shard, "--parallelism.tensor_parallel_degree", (char *)tp };

    *s = (struct shape){ .n = nranks };
    OK(tt_config_load(&s->config, &s->arena, sizeof argv / sizeof *argv, argv, NULL, &err));
    OK(tt_job_open(&s->job, &s->config, nranks, &err));
    s->rank = tt_arena_array(&s->arena, (size_t)nranks, sizeof *s->rank);
    for (int r = 0; r < nranks; r++)
        begin_rank(&s->rank[r], s, r);
}

static void end(struct shape *s)
{
    for (int r = 0; r < s->n; r++)
        tt_arena_release(&s->rank[r].arena);
    tt_job_close(&s->job);
    tt_arena_release(&s->arena);
}

static const float *element(const struct tt_state_tensor *t, int64_t row, int64_t column)
{
    const int64_t width = t->ndim == 2 ? t->sizes[1] : 1;
    return (const float *)t->weight + (row - t->offsets[0]) * width + (t->ndim == 2 ? column - t->offsets[1] : 0);
}

/* Every rank's elements are those of the one rank that has them all; *held: how many there are over all ranks. */
static void compare(const struct shape *s, const struct shape *whole, int64_t *held)
{
    *held = 0;
    for (int r = 0; r < s->n; r++)
        for (int i = 0; i < s->job.params.n; i++) {
            const struct tt_state_tensor *t = &s->rank[r].tensors[i], *all = &whole->rank[0].tensors[i];
            for (int64_t y = t->offsets[0]; y < t->offsets[0] + t->sizes[0]; y++)
                for (int64_t x = t->ndim == 2 ? t->offsets[1] : 0, n = t->ndim == 2 ? t->sizes[1] : 1; n > 0; x++, n--, ++*held)
                    if (*element(t, y, x) != *element(all, y, x))
                        fail_msg("rank %d: %s: (%ld, %ld) is %g for %g", r, t->fqn, y, x, *element(t, y, x), *element(all, y, x));
        }
}

static int64_t numel(const struct shape *s)
{
    int64_t n = 0;
    for (int i = 0; i < s->job.params.n; i++)
        n += s->job.params.p[i].numel;
    return n;
}

static void save(struct shape *s, const char *dir)
{
    struct tt_entries *written = tt_arena_array(&s->arena, (size_t)s->n, sizeof *written);
    const struct tt_entries **ranks = tt_arena_array(&s->arena, (size_t)s->n, sizeof *ranks);
    struct tt_dcp_save *job;

    OK(tt_dcp_save_begin(&job, dir, NULL, &err));
    for (int r = 0; r < s->n; r++) {
        struct tt_save_item *items;
        size_t n;
        OK(tt_state_items(&items, &n, &s->rank[r].arena, &s->rank[r].state, TT_STATE_ALL, &err));
        OK(tt_share_items(items, &n, &s->job, &s->rank[r].mesh, &err));
        OK(tt_dcp_write_rank(&written[r], tt_dcp_save_tmp(job), r, items, n, NULL, &err));
        ranks[r] = &written[r];
    }
    OK(tt_dcp_save_commit(job, ranks, (size_t)s->n, &err));
    for (int r = 0; r < s->n; r++)
        tt_entries_release(&written[r]);
}

static int64_t file_nbytes(const char *dir, int rank)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/__%d_0.distcp", dir, rank);
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* All shares of one storage. */
static void assert_checked(struct tt_ckpt *ckpt, struct tt_crc_share *s, size_t n, bool replicas)
{
    OK(tt_crc_shares_check(ckpt, s, n, &err));
    for (size_t i = 0; i < n; i++) {
        s[i].found ^= 1;
        if (tt_crc_shares_check(ckpt, s, n, &err) != TT_EFORMAT || !strstr(err.msg, "the bytes are damaged"))
            fail_msg("%s: share %zu of %zu is not checked", ckpt->entries.items[s->entry].fqn, i, n);
        if (!replicas && n > 1) /* who has not all of it cannot say */
            OK(tt_crc_shares_check(ckpt, i ? s : s + 1, i ? i : n - 1, &err));
        s[i].found ^= 1;
    }
}

/* What the ranks read together they can check together. *n: how many storages. */
static void check_shares(struct tt_ckpt *ckpt, const struct tt_buf *shares, bool replicas, size_t *n)
{
    struct tt_crc_share *s = (struct tt_crc_share *)(void *)shares->data;
    const size_t nshares = shares->len / sizeof *s;

    OK(tt_crc_shares_check(ckpt, s, nshares, &err));
    for (size_t i = 0, end; i < nshares; i = end, ++*n) {
        for (end = i + 1; end < nshares && s[end].file == s[i].file && s[end].offset == s[i].offset; end++)
            ;
        assert_checked(ckpt, s + i, end - i, replicas);
    }
}

/* Loads into each rank of the job what it holds; *nshared: storages that several read. */
static void load(struct shape *s, const char *dir, size_t *nshared)
{
    struct tt_buf shares = { 0 };
    struct tt_ckpt *ckpt;

    for (int r = 0; r < s->n; r++) {
        for (int i = 0; i < s->job.params.n; i++)
            memset(s->rank[r].tensors[i].weight, 0xff, nbytes_of(&s->rank[r].part[i]));
        OK(tt_ckpt_open(&ckpt, dir, &err));
        OK(tt_state_load(&s->rank[r].state, ckpt, TT_STATE_MODEL | TT_STATE_OPTIMIZER, NULL, &shares, &err));
        assert_int_equal(s->rank[r].state.optimizer_steps, 3);
        tt_ckpt_close(ckpt);
    }
    OK(tt_ckpt_open(&ckpt, dir, &err));
    check_shares(ckpt, &shares, s->job.degrees.dp_replicate > 1, nshared);
    tt_ckpt_close(ckpt);
    tt_buf_release(&shares);
}

static const struct {
    int nranks;
    const char *replicate, *shard, *tp;
} shapes[] = { { 1, "1", "1", "1" }, { 3, "1", "3", "1" }, { 4, "2", "2", "1" }, { 4, "4", "1", "1" },
               { 13, "1", "13", "1" }, { 4, "1", "2", "2" }, { 2, "1", "1", "2" } };
enum { NSHAPES = sizeof shapes / sizeof *shapes };

static void begin_nth(struct shape *s, int i) { begin(s, shapes[i].nranks, shapes[i].replicate, shapes[i].shard, shapes[i].tp); }

/* tp keeps the norms whole on each of its ranks, dp_replicate everything. */
static void test_every_rank_draws_its_part_of_the_one_stream(void **state)
{
    (void)state;
    struct shape whole, s;
    int64_t held;

    begin_nth(&whole, 0);
    for (int i = 1; i < NSHAPES; i++) {
        begin_nth(&s, i);
        compare(&s, &whole, &held);
        const int64_t norms = strcmp(shapes[i].tp, "2") == 0 ? 5 * 24 : 0;
        assert_int_equal(held, (numel(&s) + norms) * s.job.degrees.dp_replicate);
        end(&s);
    }
    end(&whole);
}

static void test_what_any_job_saves_any_other_loads(void **state)
{
    (void)state;
    struct shape whole, from, to;
    int64_t held;
    char dir[64];

    begin_nth(&whole, 0);
    for (int i = 0; i < NSHAPES; i++) {
        begin_nth(&from, i);
        snprintf(dir, sizeof dir, "%s/step-%d", folder, i);
        save(&from, dir);
        for (int j = 0; j < NSHAPES; j += i + 1) {
            size_t nshared = 0;
            begin_nth(&to, j);
            load(&to, dir, &nshared);
            if (i == 0) /* of one rank's checkpoint one rank, and replicas, read storages as a whole */
                assert_int_equal(nshared > 0, j != 0 && j != 3);
            compare(&to, &whole, &held);
            end(&to);
        }
        end(&from);
    }
    end(&whole);
}

/* Of 4 ranks that hold the same each writes a fourth, of 2 x 2 a half of its shard. */
static void test_ranks_share_the_writing_of_what_they_all_hold(void **state)
{
    (void)state;
    char dir[64];

    for (int i = 2; i <= 3; i++) {
        int64_t least = INT64_MAX, most = 0;
        snprintf(dir, sizeof dir, "%s/step-%d", folder, i);
        for (int r = 0; r < 4; r++) {
            const int64_t n = file_nbytes(dir, r);
            least = n < least ? n : least;
            most = n > most ? n : most;
        }
        assert_true(most - least < most / 20);
    }
}

/* A run saves as often as it likes. */
static void test_a_second_save_takes_no_more_of_the_jobs_memory(void **state)
{
    (void)state;
    struct shape s;
    char dir[64];
    size_t used;

    begin_nth(&s, 5);
    snprintf(dir, sizeof dir, "%s/again", folder);
    save(&s, dir);
    used = s.job.arena.used;
    save(&s, dir);
    assert_int_equal(s.job.arena.used, used);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_rank_draws_its_part_of_the_one_stream),
        cmocka_unit_test(test_what_any_job_saves_any_other_loads),
        cmocka_unit_test(test_ranks_share_the_writing_of_what_they_all_hold),
        cmocka_unit_test(test_a_second_save_takes_no_more_of_the_jobs_memory),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
