/* Chunks found by their offsets: what a look at each of them finds, whatever order they stand in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "format/entry.h"

enum { ROWS = 40, COLS = 9 }; /* of chunks, 5 by 3 elements each */

static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* A grid of chunks, and some empty ones among them; shuffled or row by row. */
static struct tt_entry make_grid(struct tt_arena *arena, int rows, int cols, bool shuffled)
{
    struct tt_entry e = { .fqn = "grid", .kind = TT_ENTRY_TENSOR, .dtype = TT_F32, .ndim = 2 };
    int64_t *shape = tt_arena_array(arena, 2, sizeof *shape);
    uint64_t seed = 7;

    assert_non_null(shape);
    shape[0] = rows * 5;
    shape[1] = cols * 3;
    e.shape = shape;
    e.nchunks = (uint32_t)(rows * cols + rows);
    e.chunks = tt_arena_array(arena, e.nchunks, sizeof *e.chunks);
    assert_non_null(e.chunks);
    for (uint32_t i = 0; i < e.nchunks; i++) {
        int64_t *dims = tt_arena_array(arena, 4, sizeof *dims);
        const int r = (int)i / (cols + 1), c = (int)i % (cols + 1);
        assert_non_null(dims);
        dims[0] = r * 5;
        dims[1] = c * 3;
        dims[2] = 5;
        dims[3] = c < cols ? 3 : 0;
        e.chunks[i] = (struct tt_chunk){ .offsets = dims, .sizes = dims + 2 };
    }
    for (uint32_t i = e.nchunks; shuffled && i-- > 1;) {
        const uint32_t k = (uint32_t)(next_random(&seed) % (i + 1));
        const struct tt_chunk t = e.chunks[i];
        e.chunks[i] = e.chunks[k];
        e.chunks[k] = t;
    }
    return e;
}

static void assert_finds_all(const struct tt_entry *e, const struct tt_region *want)
{
    struct tt_chunk_search search = tt_chunks_in(e, want);
    char *found = calloc(e->nchunks, 1);
    assert_non_null(found);
    for (const struct tt_chunk *c; (c = tt_chunks_next(&search));)
        assert_int_equal(found[c - e->chunks]++, 0);
    for (uint32_t i = 0; i < e->nchunks; i++) {
        const struct tt_region chunk = tt_region_make(e->ndim, e->chunks[i].offsets, e->chunks[i].sizes);
        struct tt_region both;
        assert_int_equal(found[i], tt_region_intersect(&both, &chunk, want));
    }
    free(found);
}

static void check(struct tt_arena *arena, int rows, int cols, bool shuffled, bool many)
{
    struct tt_entry e = make_grid(arena, rows, cols, shuffled);
    uint64_t seed = 11;

    assert_int_equal(tt_chunks_sort(&e, arena, NULL), TT_OK);
    assert_int_equal(e.order.is_known, many);
    assert_int_equal(e.order.by_offset != NULL, many && shuffled);
    for (int k = 0; k < 200; k++) {
        struct tt_region want = { .ndim = 2 };
        for (int d = 0; d < 2; d++) {
            want.offset[d] = (int64_t)(next_random(&seed) % (uint64_t)e.shape[d]);
            want.size[d] = (int64_t)(next_random(&seed) % (uint64_t)(e.shape[d] - want.offset[d] + 1)) / (k % 7 + 1);
        }
        assert_finds_all(&e, &want);
    }
    for (uint32_t i = 0; i < e.nchunks; i++) {
        const int64_t no_size[2] = { 4, 3 };
        assert_ptr_equal(tt_chunk_find(&e, e.chunks[i].offsets, e.chunks[i].sizes), &e.chunks[i]);
        assert_null(tt_chunk_find(&e, e.chunks[i].offsets, no_size));
    }
}

static void test_every_chunk_that_meets_a_region_is_found_once(void **state)
{
    struct tt_arena arena = { 0 };
    (void)state;
    check(&arena, ROWS, COLS, false, true);
    check(&arena, ROWS, COLS, true, true);
    check(&arena, COLS, ROWS, true, true);
    check(&arena, 1, 300, true, true);
    check(&arena, 300, 1, false, true);
    check(&arena, 6, 6, true, false);
    tt_arena_release(&arena);
}

static void test_a_scalar_has_one_chunk(void **state)
{
    struct tt_chunk chunk = { .file = 0 };
    const struct tt_entry e = { .fqn = "s", .kind = TT_ENTRY_TENSOR, .chunks = &chunk, .nchunks = 1 };
    const struct tt_region all = { .ndim = 0 };
    struct tt_chunk_search search = tt_chunks_in(&e, &all);
    (void)state;
    assert_ptr_equal(tt_chunks_next(&search), &chunk);
    assert_null(tt_chunks_next(&search));
    assert_ptr_equal(tt_chunk_find(&e, NULL, NULL), &chunk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_chunk_that_meets_a_region_is_found_once),
        cmocka_unit_test(test_a_scalar_has_one_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
