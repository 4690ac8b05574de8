/* tests/unit/test_checkpointer.h: a checkpointer over a folder of its own, and a state whose numbers say which step they are of. */
#ifndef TT_TEST_CHECKPOINTER_H
#define TT_TEST_CHECKPOINTER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "ckpt/ckpt.h"
#include "data/tokenizer.h"
#include "tests/unit/faults.h"
#include "train/checkpoint.h"

enum { BATCH = 2, SEQ = 16 };

struct fixture {
    char dir[64];
    struct tt_config config;
    struct tt_tokenizer *tokenizer;
    struct tt_loader *loader, *validation;
    float weight[2][6], exp_avg[2][6], exp_avg_sq[2][6];
    struct tt_state_tensor tensors[2];
    struct tt_train_state state;
    struct tt_buf warnings;
    struct tt_log log;
    struct tt_checkpointer checkpointer;
};

static const int64_t shape_a[] = { 2, 3 }, shape_b[] = { 6 };

static void note(void *ctx, enum tt_log_level level, const char *line)
{
    if (level == TT_LOG_WARNING || strstr(line, "recast"))
        tt_buf_printf(ctx, "%s\n", line);
}

static void new_loader(struct fixture *f)
{
    const struct tt_loader_opts opts = {
        .dataset = "c4_test", .path = "tests/assets/c4_test", .seq_len = SEQ, .local_batch = BATCH, .dp_world = 1, .infinite = true
    };
    tt_loader_free(f->loader);
    assert_int_equal(tt_loader_new(&f->loader, f->tokenizer, &opts, NULL), TT_OK);
}

/* A state as before the first step. */
static void fresh_state(struct fixture *f)
{
    struct tt_lr_schedule schedule;
    memset(f->weight, 0, sizeof f->weight);
    memset(f->exp_avg, 0, sizeof f->exp_avg);
    memset(f->exp_avg_sq, 0, sizeof f->exp_avg_sq);
    f->tensors[0] = (struct tt_state_tensor){ "tok_embeddings.weight", TT_F32,          2, shape_a, NULL, NULL, f->weight[0],
                                              f->exp_avg[0],           f->exp_avg_sq[0] };
    f->tensors[1] =
        (struct tt_state_tensor){ "norm.weight", TT_F32, 1, shape_b, NULL, NULL, f->weight[1], f->exp_avg[1], f->exp_avg_sq[1] };
    new_loader(f);
    f->state = (struct tt_train_state){ .tensors = f->tensors, .ntensors = 2, .loader = f->loader, .dp_world = 1 };
    assert_int_equal(tt_lr_schedule_init(&schedule, &f->config.lr_scheduler, 100, NULL, NULL), TT_OK);
    tt_lr_init(&f->state.lr, &schedule, f->config.optimizer.lr);
    f->state.group = tt_param_group_make(&f->config.optimizer, f->state.lr.last);
}

/* A step that leaves its number everywhere. */
static void advance(struct fixture *f)
{
    int32_t tokens[BATCH * SEQ], labels[BATCH * SEQ];
    int64_t nseq;
    assert_int_equal(tt_loader_next(f->loader, tokens, labels, &nseq, NULL), TT_OK);
    f->state.step++;
    f->state.optimizer_steps++;
    f->state.ntokens_seen += BATCH * SEQ;
    tt_lr_step(&f->state.lr);
    f->state.group.lr = f->state.lr.last;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 6; j++) {
            f->weight[i][j] = (float)(100 * f->state.step + 10 * i + j);
            f->exp_avg[i][j] = -f->weight[i][j];
            f->exp_avg_sq[i][j] = f->weight[i][j] / 3;
        }
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    strcpy(f->dir, "/tmp/titan-checkpointer-XXXXXX");
    if (!mkdtemp(f->dir) || tt_tokenizer_open(&f->tokenizer, "tests/assets/tokenizer", NULL) != TT_OK)
        return 1;
    tt_config_init(&f->config);
    f->config.job.dump_folder = f->dir;
    f->config.checkpoint.enable = true;
    f->config.checkpoint.interval = 2;
    f->config.lr_scheduler.warmup_steps = 7;
    f->log = (struct tt_log){ note, &f->warnings };
    fresh_state(f);
    return tt_checkpointer_init(&f->checkpointer, &f->config, &f->state, NULL, &f->log, NULL, NULL) != TT_OK;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    tt_checkpointer_release(&f->checkpointer);
    tt_loader_free(f->loader);
    tt_loader_free(f->validation);
    tt_tokenizer_free(f->tokenizer);
    tt_buf_release(&f->warnings);
    const tt_status status = tt_remove_all(f->dir, NULL);
    free(f);
    return status != TT_OK;
}

static bool load(struct fixture *f, struct tt_err *err)
{
    unsigned loaded;
    fresh_state(f);
    tt_buf_clear(&f->warnings);
    if (tt_checkpointer_load(&f->checkpointer, &f->state, &loaded, err) != TT_OK)
        return false;
    assert_true(loaded);
    return true;
}

/* With the settings as they are now. */
static void init_again(struct fixture *f)
{
    tt_checkpointer_release(&f->checkpointer);
    assert_int_equal(tt_checkpointer_init(&f->checkpointer, &f->config, &f->state, NULL, &f->log, NULL, NULL), TT_OK);
}

static bool has(const struct fixture *f, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/checkpoint/%s", f->dir, name);
    return tt_path_exists(path);
}

/* The loader's next batch is the n-th that an uninterrupted run reads. */
static void assert_next_batch(struct fixture *f, int n)
{
    int32_t resumed[BATCH * SEQ], whole[BATCH * SEQ], labels[BATCH * SEQ];
    int64_t nseq;
    assert_int_equal(tt_loader_next(f->loader, resumed, labels, &nseq, NULL), TT_OK);
    new_loader(f);
    for (int i = 0; i < n; i++)
        assert_int_equal(tt_loader_next(f->loader, whole, labels, &nseq, NULL), TT_OK);
    assert_memory_equal(resumed, whole, sizeof whole);
}

static void save(struct fixture *f, enum tt_save_when when)
{
    assert_int_equal(tt_checkpointer_save(&f->checkpointer, &f->state, when, NULL), TT_OK);
}

static void set_hold(int hold) { __atomic_store_n(&fault.hold, hold, __ATOMIC_RELEASE); }

static void *let_go(void *unused)
{
    usleep(50000);
    set_hold(0);
    return unused;
}

#endif
