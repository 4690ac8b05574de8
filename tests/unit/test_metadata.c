/* .metadata of many chunks: what is read without running the pickle opcode by opcode, and how much memory the catalogue takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/file.h"
#include "format/metadata.h"
#include "format/pickle.h"

/* The memo has at most so many slots: a pickle of a few ten thousand bytes. */
enum { NSLOTS = 60000 };

static void read_golden(struct tt_buf *out)
{
    struct tt_err err;
    if (tt_file_read_all(out, "tests/golden/metadata-ranks2/.metadata", 1 << 20, &err) != TT_OK)
        fail_msg("%s", err.msg);
}

/* The same pickle behind bytes that are dropped again but look like fetches of every memo slot: nothing in it is read by the
 * shortcut, since every value may have a second reference. */
static void without_shortcut(struct tt_buf *out, const struct tt_buf *pickle)
{
    tt_buf_put(out, pickle->data, 2); /* PROTO */
    tt_buf_byte(out, 'B');
    tt_buf_le32(out, NSLOTS * 5);
    for (uint32_t i = 0; i < NSLOTS; i++) {
        tt_buf_byte(out, 'j');
        tt_buf_le32(out, i);
    }
    tt_buf_byte(out, '0');
    tt_buf_put(out, pickle->data + 2, pickle->len - 2);
    assert_false(out->failed);
}

static void encode(struct tt_buf *out, const struct tt_buf *pickle, const char *where)
{
    struct tt_entries entries = { 0 };
    struct tt_err err;
    if (tt_metadata_decode(&entries, pickle->data, pickle->len, where, &err) != TT_OK ||
        tt_metadata_encode(out, &entries, &err) != TT_OK)
        fail_msg("%s", err.msg);
    tt_entries_release(&entries);
}

static void assert_same(const struct tt_buf *a, const struct tt_buf *b)
{
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->data, b->data, a->len);
}

/* Of Python's form, in which every value goes into the memo, and of titan's own, in which few do. */
static void test_the_shortcut_reads_what_the_stack_machine_reads(void **state)
{
    struct tt_buf golden = { 0 }, slow = { 0 }, a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
    (void)state;
    read_golden(&golden);
    without_shortcut(&slow, &golden);
    encode(&a, &golden, "golden");
    encode(&b, &slow, "without shortcut");
    assert_same(&a, &b);
    tt_buf_clear(&slow);
    without_shortcut(&slow, &a);
    encode(&c, &a, "titan's");
    encode(&d, &slow, "titan's without shortcut");
    assert_same(&a, &c);
    assert_same(&a, &d);
    tt_buf_release(&golden);
    tt_buf_release(&slow);
    tt_buf_release(&a);
    tt_buf_release(&b);
    tt_buf_release(&c);
    tt_buf_release(&d);
}

static size_t count_flat(const struct tt_py *dict)
{
    size_t n = 0;
    for (uint32_t i = 0; i < tt_py_len(dict); i++)
        n += tt_py_item(dict, i)->kind == TT_PY_FLAT;
    return n;
}

static void test_most_of_storage_data_is_read_by_the_shortcut(void **state)
{
    struct tt_buf golden = { 0 };
    struct tt_arena nodes = { 0 }, arena = { 0 };
    struct tt_py_dims dims = { .arena = &arena };
    struct tt_py root;
    struct tt_err err;
    (void)state;
    read_golden(&golden);
    const struct tt_py_how how = { .allow = TT_PY_ALLOW_METADATA, .where = "golden", .dims = &dims };
    if (tt_pickle_decode(&nodes, &root, golden.data, golden.len, &how, &err) != TT_OK)
        fail_msg("%s", err.msg);
    const struct tt_py *storage = tt_py_get(&root.u.object->state, "storage_data");
    assert_non_null(storage);
    assert_int_equal(tt_py_len(storage), 2 * (84 + 155));
    assert_in_range(count_flat(storage), 420, 478);
    tt_py_dims_release(&dims);
    tt_arena_release(&nodes);
    tt_arena_release(&arena);
    tt_buf_release(&golden);
}

static void test_truncations_of_many_chunks_are_errors(void **state)
{
    struct tt_buf golden = { 0 };
    (void)state;
    read_golden(&golden);
    for (size_t n = 0; n < golden.len; n += 379) {
        struct tt_entries entries = { 0 };
        struct tt_err err = { .msg = "" };
        uint8_t *copy = malloc(n + 1); /* its end is that of the allocation: a sanitizer sees one read too many */
        assert_non_null(copy);
        memcpy(copy + 1, golden.data, n);
        assert_int_equal(tt_metadata_decode(&entries, copy + 1, n, "cut", &err), TT_EFORMAT);
        assert_non_null(strstr(err.msg, "the pickle is cut short"));
        free(copy);
    }
    tt_buf_release(&golden);
}

/* --- the catalogue ------------------------------------------------------------------------------------------------------------ */

enum { RANKS = 64, TENSORS = 100, NBYTES_A_CHUNK_MAX = 200 };

static void fill(struct tt_entries *entries)
{
    static int64_t shape[2] = { RANKS * 128, 1000 }, sizes[2] = { 128, 1000 }, offsets[RANKS][2];
    for (int i = 0; i < TENSORS; i++) {
        struct tt_entry e = { .kind = TT_ENTRY_TENSOR, .dtype = TT_F32, .ndim = 2, .shape = shape, .nchunks = RANKS };
        struct tt_path_part *path = tt_arena_array(&entries->arena, 2, sizeof *path);
        assert_non_null(path);
        path[0].key = "optimizer";
        path[1].key = tt_arena_printf(&entries->arena, "state.layers.%d.feed_forward.w1.weight.exp_avg_sq", i);
        e.path = path;
        e.npath = 2;
        e.fqn = tt_arena_printf(&entries->arena, "optimizer.%s", path[1].key);
        e.chunks = tt_arena_array(&entries->arena, RANKS, sizeof *e.chunks);
        assert_non_null(e.chunks);
        for (int r = 0; r < RANKS; r++) {
            char file[32];
            snprintf(file, sizeof file, "__%d_0.distcp", r);
            offsets[r][0] = r * 128;
            e.chunks[r] = (struct tt_chunk){ .offsets = offsets[r], .sizes = sizes, .offset = (uint64_t)i << 20, .nbytes = 513577 };
            assert_int_equal(tt_entries_file(entries, file, &e.chunks[r].file, NULL), TT_OK);
        }
        assert_int_equal(tt_entries_add(entries, &e, NULL), TT_OK);
    }
}

static void assert_lean(const struct tt_buf *pickle, size_t nchunks)
{
    struct tt_entries entries = { 0 };
    size_t n = 0;
    assert_int_equal(tt_metadata_decode(&entries, pickle->data, pickle->len, "test", NULL), TT_OK);
    for (size_t i = 0; i < entries.n; i++)
        n += entries.items[i].nchunks;
    assert_int_equal(n, nchunks);
    const size_t maps = (entries.by_fqn.nslots + entries.by_file.nslots) * sizeof(struct tt_map_slot);
    assert_in_range(entries.arena.used + maps, 1, NBYTES_A_CHUNK_MAX * n);
    tt_entries_release(&entries);
}

static void test_the_catalogue_takes_at_most_200_bytes_a_chunk(void **state)
{
    struct tt_entries made = { 0 };
    struct tt_buf pickle = { 0 }, slow = { 0 };
    (void)state;
    fill(&made);
    assert_int_equal(tt_metadata_encode(&pickle, &made, NULL), TT_OK);
    assert_lean(&pickle, RANKS * TENSORS);
    without_shortcut(&slow, &pickle);
    assert_lean(&slow, RANKS * TENSORS);
    tt_entries_release(&made);
    tt_buf_release(&pickle);
    tt_buf_release(&slow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_shortcut_reads_what_the_stack_machine_reads),
        cmocka_unit_test(test_most_of_storage_data_is_read_by_the_shortcut),
        cmocka_unit_test(test_truncations_of_many_chunks_are_errors),
        cmocka_unit_test(test_the_catalogue_takes_at_most_200_bytes_a_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
