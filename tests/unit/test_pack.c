#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "program/pack.h"

enum { ITEMS = 60, TIMES = 100, SPANS = 3 };

static unsigned next(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static bool alive(const struct tt_item *item, int time)
{
    for (int i = 0; i < item->nspans; i++)
        if (time >= item->span[i].begin && time <= item->span[i].end)
            return true;
    return false;
}

static int make_up(struct tt_item *items, struct tt_span spans[][SPANS], unsigned *seed)
{
    const int n = 1 + (int)(next(seed) % ITEMS);

    for (int i = 0; i < n; i++) {
        items[i] = (struct tt_item){ .nbytes = 1 + next(seed) % 5000, .span = spans[i], .nspans = 1 + (int)(next(seed) % SPANS) };
        int at = (int)(next(seed) % 50);
        for (int s = 0; s < items[i].nspans; s++) {
            spans[i][s].begin = at;
            spans[i][s].end = at + (int)(next(seed) % 15);
            at = spans[i][s].end + 1 + (int)(next(seed) % 3);
        }
    }
    return n;
}

/* At every time, every byte belongs to one live item at most; and the figures are what a count says. */
static void check_by_force(const struct tt_item *items, int n, uint64_t total, uint64_t live_max)
{
    char *owner = malloc(total);
    uint64_t most = 0, end = 0;

    for (int t = 0; t < TIMES; t++) {
        uint64_t live = 0;
        memset(owner, 0, total);
        for (int i = 0; i < n; i++) {
            if (!alive(&items[i], t))
                continue;
            live += items[i].nbytes;
            assert_true(items[i].offset + items[i].nbytes <= total);
            for (uint64_t b = 0; b < items[i].nbytes; b++) {
                assert_int_equal(owner[items[i].offset + b], 0);
                owner[items[i].offset + b] = 1;
            }
        }
        most = live > most ? live : most;
    }
    for (int i = 0; i < n; i++) {
        assert_int_equal(items[i].offset % 64, 0);
        end = items[i].offset + items[i].nbytes > end ? items[i].offset + items[i].nbytes : end;
    }
    assert_int_equal(end, total);
    assert_int_equal(most, live_max);
    free(owner);
}

static void test_no_byte_has_two_live_owners(void **state)
{
    struct tt_item items[ITEMS];
    struct tt_span spans[ITEMS][SPANS];
    unsigned seed = 1;

    (void)state;
    for (int round = 0; round < 100; round++) {
        const int n = make_up(items, spans, &seed);
        uint64_t total, live_max;
        struct tt_err err;
        assert_int_equal(tt_pack(items, n, 64, &total, &live_max, &err), TT_OK);
        check_by_force(items, n, total, live_max);
    }
}

static void test_a_stack_packs_tightly(void **state)
{
    struct tt_item items[16];
    struct tt_span spans[16];
    uint64_t total, live_max;
    struct tt_err err;

    (void)state;
    for (int i = 0; i < 16; i++) { /* born one after another, dying in the reverse order, as forward and backward do */
        spans[i] = (struct tt_span){ i, 40 - i };
        items[i] = (struct tt_item){ .nbytes = 64 * (uint64_t)(1 + i * 7 % 5), .span = &spans[i], .nspans = 1 };
    }
    assert_int_equal(tt_pack(items, 16, 64, &total, &live_max, &err), TT_OK);
    assert_int_equal(total, live_max);
}

/* A layer keeps two buffers and a copy of its weight for the backward, which leaves the gradient. */
static void test_gradients_that_come_as_a_stack_goes_pack_tightly(void **state)
{
    enum { LAYERS = 6, N = 4 * LAYERS, END = 3 * LAYERS };
    struct tt_item items[N];
    struct tt_span spans[N];
    uint64_t total, live_max;
    struct tt_err err;

    (void)state;
    for (int i = 0; i < LAYERS; i++) {
        spans[4 * i] = (struct tt_span){ 0, 2 * LAYERS - i };
        spans[4 * i + 1] = spans[4 * i + 2] = (struct tt_span){ i, 2 * LAYERS - i };
        spans[4 * i + 3] = (struct tt_span){ 2 * LAYERS - i, END };
        for (int j = 0; j < 4; j++)
            items[4 * i + j] = (struct tt_item){ .nbytes = (uint64_t[]){ 256, 128, 192, 576 }[j], .span = &spans[4 * i + j], .nspans = 1 };
    }
    assert_int_equal(tt_pack(items, N, 64, &total, &live_max, &err), TT_OK);
    check_by_force(items, N, total, live_max);
    assert_int_equal(total, live_max);
}

static void test_nothing_packs_into_nothing(void **state)
{
    uint64_t total = 1, live_max = 1;
    struct tt_err err;

    (void)state;
    assert_int_equal(tt_pack(NULL, 0, 64, &total, &live_max, &err), TT_OK);
    assert_int_equal(total, 0);
    assert_int_equal(live_max, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_byte_has_two_live_owners),
        cmocka_unit_test(test_a_stack_packs_tightly),
        cmocka_unit_test(test_gradients_that_come_as_a_stack_goes_pack_tightly),
        cmocka_unit_test(test_nothing_packs_into_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
