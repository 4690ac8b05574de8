/* Tokens drawn from logits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "train/sampler.h"

enum { N = 7 };
static const float logits[N] = { 0.5f, -1, 2, 1.75f, 2, -INFINITY, 0 };

static struct tt_sampler make(int64_t n, double temperature, int64_t top_k, uint64_t seed)
{
    struct tt_sampler s;
    struct tt_err err = { 0 };
    assert_int_equal(tt_sampler_init(&s, n, temperature, top_k, seed, &err), TT_OK);
    return s;
}

static void check_probs(double temperature, int64_t top_k, const double *want)
{
    struct tt_sampler s = make(N, temperature, top_k, 1);
    const float *p = tt_sampler_probs(&s, logits, TT_F32);
    for (int i = 0; i < N; i++)
        if (!(fabs((double)p[i] - want[i]) <= 1e-6))
            fail_msg("token %d: probability %.9g, expected %.9g", i, (double)p[i], want[i]);
    tt_sampler_release(&s);
}

/* torch.softmax(logits). */
static void test_probabilities_are_those_of_softmax(void **state)
{
    (void)state;
    check_probs(1, 0, (const double[]){ 0.0700114, 0.0156217, 0.3137695, 0.2443639, 0.3137695, 0, 0.0424641 });
}

static void softmax_of(double *p, double temperature, double least)
{
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += p[i] = (double)logits[i] < least ? 0 : exp((double)logits[i] / temperature);
    for (int i = 0; i < N; i++)
        p[i] /= sum;
}

static void test_temperature_and_top_k_reshape_them(void **state)
{
    double p[N];
    (void)state;
    softmax_of(p, 0.5, -INFINITY);
    check_probs(0.5, 0, p);
    softmax_of(p, 3, 1.75);
    check_probs(3, 3, p);
    softmax_of(p, 1, 2);
    check_probs(1, 1, p); /* two are the largest, and both stay, as in TorchTitan */
    softmax_of(p, 1, -INFINITY);
    check_probs(1, 100, p);
}

static void test_temperature_0_is_the_first_of_the_largest(void **state)
{
    struct tt_sampler s = make(N, 0, 0, 1);
    const uint32_t next = (uint32_t)s.rng.next;
    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(tt_sampler_next(&s, logits, TT_F32), 2);
    assert_int_equal((uint32_t)s.rng.next, next); /* nothing is drawn */
    tt_sampler_release(&s);
}

/* Pearson's statistic of 6 tokens is beyond 20.5 in one run of 1000; the seed is fixed. */
static void test_tokens_come_as_often_as_they_are_likely(void **state)
{
    enum { DRAWS = 40000 };
    struct tt_sampler s = make(N, 1.3, 0, 11);
    double p[N], chi2 = 0;
    int count[N] = { 0 };

    (void)state;
    softmax_of(p, 1.3, -INFINITY);
    for (int i = 0; i < DRAWS; i++)
        count[tt_sampler_next(&s, logits, TT_F32)]++;
    for (int i = 0; i < N; i++)
        if (p[i] > 0)
            chi2 += (count[i] - DRAWS * p[i]) * (count[i] - DRAWS * p[i]) / (DRAWS * p[i]);
    assert_int_equal(count[5], 0);
    assert_true(chi2 < 20.5);
    tt_sampler_release(&s);
}

/* torch.argmax(torch.ones(8) / 8 / torch.empty(8).exponential_(1, generator=g)) with g seeded by 42: the least of 0.0599, 0.0650,
 * 0.1319, 0.0540, 0.7469 ... is the fourth. */
static void test_the_numbers_are_those_of_pytorch(void **state)
{
    static const float even[8];
    struct tt_sampler s = make(8, 1, 0, 42), again = make(8, 1, 0, 42);
    (void)state;
    assert_int_equal(tt_sampler_next(&s, even, TT_F32), 3);
    assert_int_equal(tt_sampler_next(&again, even, TT_F32), 3);
    for (int i = 0; i < 50; i++)
        assert_int_equal(tt_sampler_next(&s, even, TT_F32), tt_sampler_next(&again, even, TT_F32));
    tt_sampler_release(&s);
    tt_sampler_release(&again);
}

static int falling(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void test_top_k_keeps_k(void **state)
{
    enum { MANY = 501 };
    static float x[MANY], sorted[MANY];
    unsigned seed = 5;

    (void)state;
    for (int64_t k = 1; k < MANY; k += k < 5 ? 1 : 37) {
        for (int i = 0; i < MANY; i++) {
            seed = seed * 1664525u + 1013904223u;
            sorted[i] = x[i] = (float)(seed >> 20) / 1024; /* with ties */
        }
        qsort(sorted, MANY, sizeof *sorted, falling);
        struct tt_sampler s = make(MANY, 1, k, 1);
        const float *p = tt_sampler_probs(&s, x, TT_F32);
        for (int i = 0; i < MANY; i++)
            assert_int_equal(p[i] > 0, x[i] >= sorted[k - 1]);
        tt_sampler_release(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probabilities_are_those_of_softmax),
        cmocka_unit_test(test_temperature_and_top_k_reshape_them),
        cmocka_unit_test(test_temperature_0_is_the_first_of_the_largest),
        cmocka_unit_test(test_tokens_come_as_often_as_they_are_likely),
        cmocka_unit_test(test_the_numbers_are_those_of_pytorch),
        cmocka_unit_test(test_top_k_keeps_k),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
