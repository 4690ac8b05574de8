/* Signals that arrive while products are computed leave the heap as it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/thread.h"
#include "cli/signals.h"
#include "kernels.h"

enum { SIDE = 256, DEPTH = 256, NPRODUCTS = 300, NBEFORE = 64 };

struct sender {
    pthread_t to;
    atomic_bool done;
};

static void *send(void *ctx)
{
    struct sender *sender = ctx;
    while (!atomic_load(&sender->done)) {
        pthread_kill(sender->to, SIGUSR1);
        nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
    }
    return NULL;
}

static void test_what_is_ignored_stays_so(void **state)
{
    (void)state;
    signal(SIGINT, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    tt_signals_catch_notice();
    raise(SIGINT);
    assert_int_equal(*tt_signals_stop(), 0);
    raise(SIGTERM);
    assert_int_equal(*tt_signals_stop(), SIGTERM);
    raise(SIGUSR1);
    assert_int_equal(*tt_signals_stop(), SIGUSR1);
}

static void test_a_signal_amid_a_product_does_no_harm(void **state)
{
    (void)state;
    float *x = calloc(SIDE * DEPTH, sizeof *x), *y = calloc(SIDE * SIDE, sizeof *y);
    struct tt_matmul op = { .m = SIDE, .n = SIDE, .k = DEPTH, .tb = true, .a = tt_in_f32(x), .b = tt_in_f32(x),
                                  .c = tt_out_f32(y), .lda = DEPTH, .ldb = DEPTH, .ldc = SIDE };
    struct tt_err err;
    struct sender sender = { .to = pthread_self() };
    pthread_t thread;

    op.scratch = aligned_alloc(64, tt_matmul_scratch(&op, 1) + 64);
    tt_signals_catch_notice();
    assert_int_equal(tt_thread_start(&thread, send, &sender), 0);
    for (int i = 0; i < NPRODUCTS; i++) {
        void *held[NBEFORE]; /* what lies beside the product's own buffers in the heap */
        for (int j = 0; j < NBEFORE; j++)
            held[j] = calloc(1, (size_t)64 << j % 8);
        if (tt_kernels_cpu()->matmul(NULL, &op, &err) != TT_OK)
            fail_msg("%s", err.msg);
        for (int j = 0; j < NBEFORE; j++)
            free(held[j]);
    }
    atomic_store(&sender.done, true);
    pthread_join(thread, NULL);
    assert_int_equal(*tt_signals_stop(), SIGUSR1);
    free(op.scratch);
    free(x);
    free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_ignored_stays_so),
        cmocka_unit_test(test_a_signal_amid_a_product_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
