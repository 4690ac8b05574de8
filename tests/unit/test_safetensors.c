/* Safetensors files and Hugging Face folders: what safetensors, transformers and PyTorch wrote (tests/golden/hf), and what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "base/bytes.h"
#include "base/file.h"
#include "ckpt/ckpt.h"
#include "ckpt/load.h"
#include "format/hf_index.h"
#include "format/safetensors.h"

#define GOLDEN "tests/golden/hf"
#define COUNT(a) (sizeof(a) / sizeof *(a))

/* --- files -------------------------------------------------------------------------------------------------------------------- */

static tt_status decode(struct tt_st_file *out, struct tt_arena *arena, const void *bytes, size_t nbytes, struct tt_err *err)
{
    /* A copy of just this length, so that a sanitizer sees a read behind it. */
    void *copy = malloc(nbytes ? nbytes : 1);
    assert_non_null(copy);
    if (nbytes)
        memcpy(copy, bytes, nbytes);
    const struct tt_source src = { .data = copy, .nbytes = nbytes, .name = "x.safetensors" };
    const tt_status st = tt_st_decode(out, arena, &src, err);
    free(copy);
    return st;
}

static void test_a_file_of_the_real_library_is_read(void **state)
{
    struct tt_arena arena = { 0 };
    struct tt_buf bytes = { 0 };
    struct tt_st_file f;
    struct tt_err err;
    (void)state;
    assert_int_equal(tt_file_read_all(&bytes, GOLDEN "/types.safetensors", 1 << 20, NULL), TT_OK);
    if (decode(&f, &arena, bytes.data, bytes.len, &err) != TT_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(f.n, 23);
    assert_string_equal(f.tensors[4].name, "caf\xc3\xa9 \xf0\x9f\x98\x80\n\"x\"");
    assert_int_equal(f.tensors[21].dtype, TT_F4_E2M1FN_X2);
    assert_int_equal(f.tensors[21].shape[1], 3); /* the header says 6: halves of a byte */
    assert_true(tt_value_is_str(tt_value_get(f.metadata, "format"), "pt"));
    assert_true(tt_value_is_str(tt_value_get(f.metadata, "caf\xc3\xa9"), "\"\\\n"));
    tt_buf_release(&bytes);
    tt_arena_release(&arena);
}

static void test_every_truncation_is_an_error_that_names_its_place(void **state)
{
    static const char *const names[] = { "small", "types", "none" };
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct tt_buf bytes = { 0 };
        char path[100];
        snprintf(path, sizeof path, GOLDEN "/%s.safetensors", names[i]);
        assert_int_equal(tt_file_read_all(&bytes, path, 1 << 20, NULL), TT_OK);
        for (size_t n = 0; n < bytes.len; n++) {
            struct tt_arena arena = { 0 };
            struct tt_st_file f;
            struct tt_err err = { 0 };
            assert_int_equal(decode(&f, &arena, bytes.data, n, &err), TT_EFORMAT);
            if (!strstr(err.msg, "x.safetensors: ") || !strstr(err.msg, n < 8 ? "offset 0: " : "offset "))
                fail_msg("%s of %zu bytes: %s", path, n, err.msg);
            tt_arena_release(&arena);
        }
        tt_buf_release(&bytes);
    }
}

/* A file with this header and so many bytes of data. */
static tt_status decode_header(const char *header, size_t ndata, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_buf bytes = { 0 };
    struct tt_st_file f;
    tt_buf_le64(&bytes, strlen(header));
    tt_buf_str(&bytes, header);
    tt_buf_fill(&bytes, 1, ndata);
    const tt_status st = decode(&f, &arena, bytes.data, bytes.len, err);
    tt_buf_release(&bytes);
    tt_arena_release(&arena);
    return st;
}

#define W "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"

static void test_what_breaks_a_rule_of_the_format_is_refused(void **state)
{
    static const struct { const char *header, *message; size_t ndata; } rows[] = {
        { "[]", "header: expected a JSON object, found a list", 0 },
        { "", "header:1:0: not JSON", 0 },
        { "{\"w\":1}", "tensor w: expected an object, found an integer", 0 },
        { "{\"w\":{}}", "tensor w: expected a string as its dtype", 0 },
        { "{\"w\":{\"dtype\":\"F32\"}}", "tensor w: expected a list as its shape, found none", 0 },
        { "{\"w\":{\"dtype\":\"F32\",\"shape\":[2]}}", "tensor w: expected a list as its data_offsets, found none", 0 },
        { "{\"w\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", "integers that are not negative in its shape", 8 },
        { "{\"w\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", "integers that are not negative in its shape", 8 },
        { "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "expected [begin, end] as its data_offsets", 8 },
        { "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8]}}", "expected [begin, end] as its data_offsets", 8 },
        { "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4,8]}}", "at most 2 numbers in its data_offsets, found 3", 8 },
        { "{\"w\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", "expected the 12 bytes of its shape, found data_offsets over 8", 8 },
        { "{\"w\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}", "a shape of more than 2^63 elements", 8 },
        { "{\"w\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", "a shape of more than 2^63", 0 },
        { "{\"w\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", "at most 16 numbers", 4 },
        { "{\"w\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", "expected an even last dimension for F4", 1 },
        { W "}", "tensor w: offset 62: expected its data to end at 70, found the end of the file at 69", 7 },
        { W "}", "offset 70: expected the end of the file, found 1 bytes that belong to no tensor", 9 },
        { W ",\"v\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[7,9]}}", "tensor v: offset 121: its data overlaps that of another tensor, which ends at 122", 9 },
        { W ",\"v\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[9,11]}}", "tensor v: offset 124: a hole of 1 bytes before", 11 },
        { W ",\"w\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[8,8]}}", "not JSON: duplicate object key", 8 },
        { W ",\"__metadata__\":[]}", "__metadata__: expected an object, found a list", 8 },
        { W ",\"__metadata__\":{\"a\":1}}", "__metadata__: a: expected a string, found an integer", 8 },
        { W ",\"__metadata__\":{\"DCP_SHARDING_INFO\":\"{\"}}", "DCP_SHARDING_INFO:1:1: not JSON", 8 },
        { W ",\"__metadata__\":{\"DCP_SHARDING_INFO\":\"[]\"}}", "DCP_SHARDING_INFO: expected an object, found a list", 8 },
        { W ",\"__metadata__\":{\"DCP_SHARDING_INFO\":\"{\\\"w\\\":{}}\"}}", "a list as its saved_offsets, found none", 8 },
        { W ",\"__metadata__\":{\"DCP_SHARDING_INFO\":\"{\\\"w\\\":{\\\"saved_offsets\\\":[]}}\"}}", "a number for each dimension", 8 },
        { W ",\"__metadata__\":{\"DCP_SHARDING_INFO\":\"{\\\"w\\\":{\\\"saved_offsets\\\":[9223372036854775807]}}\"}}", "beyond any tensor", 8 },
        { "{\"a\\u0000b\":1}", "not JSON", 0 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tt_err err = { 0 };
        assert_int_equal(decode_header(rows[i].header, rows[i].ndata, &err), TT_EFORMAT);
        if (!strstr(err.msg, rows[i].message))
            fail_msg("row %zu: %s", i, err.msg);
    }
    struct tt_err err;
    assert_int_equal(decode_header("{\"w\":{\"dtype\":\"F6_E2M3\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, &err), TT_EUNSUPPORTED);
    assert_string_equal(err.msg, "x.safetensors: tensor w: titan has no dtype F6_E2M3");
    uint8_t long_header[16] = { 1, 0xe1, 0xf5, 5, 0, 0, 0, 0, '{', '}' };
    struct tt_arena arena = { 0 };
    struct tt_st_file f;
    assert_int_equal(decode(&f, &arena, long_header, sizeof long_header, &err), TT_EFORMAT);
    assert_string_equal(err.msg, "x.safetensors: offset 0: expected a header length of at most 100000000, found 100000001");
    tt_arena_release(&arena);
}

static void test_what_the_real_reader_tolerates_is_read(void **state)
{
    static const struct { const char *header; size_t ndata; } rows[] = {
        { "{}", 0 },
        { " \n" W "}\n  ", 8 },
        { "{\"w\":{\"data_offsets\":[0,8],\"extra\":{\"x\":[null]},\"shape\":[2],\"dtype\":\"F32\"}}", 8 },
        { "{\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[3,11]},\"a\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[0,3]}}", 11 },
        { "{\"e\":{\"dtype\":\"F32\",\"shape\":[0,4294967296,4294967296],\"data_offsets\":[0,0]}}", 0 },
        { "{\"\":{\"dtype\":\"BOOL\",\"shape\":[],\"data_offsets\":[0,1]}}", 1 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tt_err err = { 0 };
        if (decode_header(rows[i].header, rows[i].ndata, &err) != TT_OK)
            fail_msg("row %zu: %s", i, err.msg);
    }
}

static void test_a_file_is_written_as_the_real_library_writes_it(void **state)
{
    static const int64_t three[] = { 3 }, two_three[] = { 2, 3 };
    struct tt_st_tensor tensors[] = { { .name = "b", .dtype = TT_I64, .ndim = 1, .shape = three },
                                      { .name = "w", .dtype = TT_F32, .ndim = 2, .shape = two_three } };
    struct tt_arena arena = { 0 };
    struct tt_buf golden = { 0 }, mine = { 0 };
    (void)state;
    struct tt_value *metadata = tt_value_map(&arena);
    assert_true(tt_value_set(&arena, metadata, "format", tt_value_str(&arena, "pt")));
    assert_int_equal(tt_file_read_all(&golden, GOLDEN "/small.safetensors", 1 << 20, NULL), TT_OK);
    assert_int_equal(tt_st_encode(&mine, tensors, 2, metadata, NULL), TT_OK);
    assert_int_equal(mine.len + 48, golden.len);
    assert_memory_equal(mine.data, golden.data, mine.len);
    assert_int_equal(tensors[0].offset, mine.len);
    assert_int_equal(tensors[1].offset, mine.len + 24);
    assert_int_equal(tensors[1].nbytes, 24);
    tt_buf_release(&golden);
    tt_buf_release(&mine);
    tt_arena_release(&arena);
}

static void test_what_the_format_cannot_hold_is_not_written(void **state)
{
    static const int64_t huge[] = { INT64_MAX };
    static const struct { struct tt_st_tensor tensor; const char *message; } rows[] = {
        { { .name = "c", .dtype = TT_C128 }, "tensor c: safetensors has no dtype for torch.complex128" },
        { { .name = "f", .dtype = TT_F4_E2M1FN_X2 }, "safetensors has no dtype for one element of torch.float4_e2m1fn_x2" },
        { { .name = "\xff", .dtype = TT_F32 }, "safetensors takes names in UTF-8 only" },
        { { .name = "h", .dtype = TT_U8, .ndim = 1, .shape = huge }, NULL },
        { { .name = "h", .dtype = TT_U16, .ndim = 1, .shape = huge }, "tensor h: the file would have more than 2^63 bytes" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tt_st_tensor t = rows[i].tensor;
        struct tt_buf out = { 0 };
        struct tt_err err = { 0 };
        assert_int_equal(tt_st_encode(&out, &t, 1, NULL, &err), rows[i].message ? TT_EUNSUPPORTED : TT_OK);
        if (rows[i].message && !strstr(err.msg, rows[i].message))
            fail_msg("row %zu: %s", i, err.msg);
        tt_buf_release(&out);
    }
}

/* --- folders ------------------------------------------------------------------------------------------------------------------ */

static const struct tt_entry *entry_of(struct tt_ckpt *ckpt, const char *fqn, uint32_t nchunks)
{
    const struct tt_entry *e = tt_entries_find(&ckpt->entries, fqn);
    assert_non_null(e);
    assert_int_equal(e->nchunks, nchunks);
    return e;
}

static void test_the_shards_of_a_dcp_job_are_chunks_of_one_tensor(void **state)
{
    static const int64_t shape[] = { 5, 6 };
    struct tt_ckpt *ckpt = NULL;
    struct tt_err err;
    float rows[30], cols[30];
    (void)state;
    if (tt_ckpt_open(&ckpt, GOLDEN "/dcp-sharded2", &err) != TT_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(ckpt->format, TT_CKPT_HF);
    assert_int_equal(ckpt->entries.n, 4);
    assert_int_equal(entry_of(ckpt, "rows", 2)->shape[0], 5);
    entry_of(ckpt, "same", 1);
    const struct tt_want wants[] = { { .fqn = "rows", .dtype = TT_F32, .ndim = 2, .shape = shape, .dst = rows },
                                     { .fqn = "cols", .dtype = TT_F32, .ndim = 2, .shape = shape, .dst = cols } };
    assert_int_equal(tt_ckpt_load(ckpt, wants, 2, NULL, &err), TT_OK);
    for (int i = 0; i < 30; i++)
        assert_true(rows[i] == (float)i && cols[i] == (float)i);
    tt_ckpt_close(ckpt);
}

static void test_a_shard_by_itself_has_what_it_has(void **state)
{
    struct tt_ckpt *ckpt = NULL;
    (void)state;
    assert_int_equal(tt_ckpt_open(&ckpt, GOLDEN "/dcp-sharded2/shard-00002-model-00001-of-00002.safetensors", NULL), TT_OK);
    assert_int_equal(ckpt->format, TT_CKPT_SAFETENSORS);
    assert_int_equal(entry_of(ckpt, "rows", 1)->shape[0], 2);
    tt_ckpt_close(ckpt);
}

static void test_folders_of_transformers_and_dcp_are_read_by_their_index(void **state)
{
    static const struct { const char *path; size_t nkeys, nfiles; } rows[] = {
        { GOLDEN "/transformers", 12, 4 }, { GOLDEN "/dcp-one", 3, 2 }, { GOLDEN "/dcp-consolidated", 3, 2 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tt_ckpt *ckpt = NULL;
        struct tt_err err;
        if (tt_ckpt_open(&ckpt, rows[i].path, &err) != TT_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(ckpt->entries.n, rows[i].nkeys);
        assert_int_equal(ckpt->entries.nfiles, rows[i].nfiles);
        tt_ckpt_close(ckpt);
    }
}

struct folder {
    char dir[64];
};

static int set_up(void **state)
{
    struct folder *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    strcpy(f->dir, "/tmp/titan-test-XXXXXX");
    *state = f;
    return mkdtemp(f->dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct folder *f = *state;
    const int failed = tt_remove_all(f->dir, NULL) != TT_OK;
    free(f);
    return failed;
}

static const char *path_in(const struct folder *f, const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    return path;
}

static void put_text(const struct folder *f, const char *name, const char *text)
{
    assert_int_equal(tt_file_write_all(path_in(f, name), text, strlen(text), NULL), TT_OK);
}

/* A file of one float32 tensor of two elements. */
static void put_tensor(const struct folder *f, const char *name, const char *tensor)
{
    static const int64_t two[] = { 2 };
    struct tt_st_tensor t = { .name = tensor, .dtype = TT_F32, .ndim = 1, .shape = two };
    struct tt_buf bytes = { 0 };
    assert_int_equal(tt_st_encode(&bytes, &t, 1, NULL, NULL), TT_OK);
    tt_buf_fill(&bytes, 0, 8);
    assert_int_equal(tt_file_write_all(path_in(f, name), bytes.data, bytes.len, NULL), TT_OK);
    tt_buf_release(&bytes);
}

static void assert_refused(const struct folder *f, tt_status status, const char *message)
{
    struct tt_ckpt *ckpt = NULL;
    struct tt_err err = { 0 };
    assert_int_equal(tt_ckpt_open(&ckpt, f->dir, &err), status);
    if (!strstr(err.msg, message))
        fail_msg("%s", err.msg);
}

static void test_an_index_that_does_not_fit_its_files_is_refused(void **state)
{
    const struct folder *f = *state;
    put_tensor(f, "a.safetensors", "w");
    put_tensor(f, "b.safetensors", "v");
    put_text(f, TT_HF_INDEX_NAME, "{\"weight_map\": {\"w\": \"a.safetensors\", \"v\": \"c.safetensors\"}}");
    assert_refused(f, TT_ENOENT, "weight_map names the file c.safetensors, which is missing");
    put_text(f, TT_HF_INDEX_NAME, "{\"weight_map\": {\"w\": \"a.safetensors\", \"u\": \"b.safetensors\"}}");
    assert_refused(f, TT_EFORMAT, "weight_map: u: expected it in b.safetensors, found it in none of the index's files");
    put_text(f, TT_HF_INDEX_NAME, "{\"weight_map\": {\"w\": \"b.safetensors\", \"v\": \"a.safetensors\"}}");
    assert_refused(f, TT_EFORMAT, "weight_map: w: expected it in b.safetensors, found it in a.safetensors");
}

static void test_names_that_lead_out_of_the_folder_are_refused(void **state)
{
    static const char *const names[] = { "../a.safetensors", "/etc/passwd", "x/a.safetensors", "..", ".", "", "a\\u0000b", "a\\nb", "a\\u007f" };
    const struct folder *f = *state;
    for (size_t i = 0; i < COUNT(names); i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"weight_map\": {\"w\": \"%s\"}}", names[i]);
        put_text(f, TT_HF_INDEX_NAME, text);
        assert_refused(f, TT_EFORMAT, "is not the plain name of a file beside the index");
    }
    put_text(f, TT_HF_INDEX_NAME, "{\"weight_map\": {\"w\": \"a\", \"w\": \"a\"}}");
    assert_refused(f, TT_EFORMAT, "duplicate object key");
    put_text(f, TT_HF_INDEX_NAME, "{\"weight_map\": {\"w\": 1}}");
    assert_refused(f, TT_EFORMAT, "weight_map: w: expected the name of a file, found an integer");
    put_text(f, TT_HF_INDEX_NAME, "{}");
    assert_refused(f, TT_EFORMAT, "expected an object with a weight_map, found none");
}

static void test_where_two_files_have_a_tensor_the_index_decides(void **state)
{
    const struct folder *f = *state;
    struct tt_ckpt *ckpt = NULL;
    put_tensor(f, "a.safetensors", "w");
    put_tensor(f, "b.safetensors", "w");
    assert_refused(f, TT_EFORMAT, "tensor w: b.safetensors has it as another file does, and does not say where");
    put_tensor(f, "c.safetensors", "v");
    put_text(f, TT_HF_INDEX_NAME, "{\"weight_map\": {\"w\": \"b.safetensors\", \"v\": \"c.safetensors\"}}");
    assert_int_equal(tt_ckpt_open(&ckpt, f->dir, NULL), TT_OK);
    assert_string_equal(ckpt->entries.files[entry_of(ckpt, "w", 1)->chunks[0].file], "b.safetensors");
    tt_ckpt_close(ckpt);
}

static void test_links_are_followed_and_what_is_no_file_is_refused(void **state)
{
    const struct folder *f = *state;
    struct tt_ckpt *ckpt = NULL;
    char target[200];
    put_tensor(f, "blob", "w");
    strcpy(target, path_in(f, "blob"));
    assert_int_equal(symlink(target, path_in(f, "model.safetensors")), 0);
    assert_int_equal(tt_ckpt_open(&ckpt, f->dir, NULL), TT_OK);
    entry_of(ckpt, "w", 1);
    tt_ckpt_close(ckpt);
    assert_int_equal(mkfifo(path_in(f, "pipe.safetensors"), 0600), 0);
    assert_refused(f, TT_EIO, "pipe.safetensors: expected a regular file, found something else");
}

static void test_a_folder_with_metadata_is_dcps(void **state)
{
    const struct folder *f = *state;
    put_tensor(f, "model.safetensors", "w");
    put_text(f, ".metadata", "");
    assert_refused(f, TT_EFORMAT, ".metadata: offset 0: the pickle is cut short");
}

static void test_an_index_is_written_as_transformers_writes_it(void **state)
{
    static const struct tt_hf_index_item items[] = { { "a", "x-1.safetensors" }, { "b\"", "x-2.safetensors" } };
    struct tt_hf_index index = { (struct tt_hf_index_item *)(uintptr_t)items, 2 };
    struct tt_buf out = { 0 };
    (void)state;
    tt_hf_index_encode(&out, &index, 12);
    assert_string_equal(tt_buf_cstr(&out), "{\n  \"metadata\": {\n    \"total_size\": 12\n  },\n  \"weight_map\": {\n"
                                           "    \"a\": \"x-1.safetensors\",\n    \"b\\\"\": \"x-2.safetensors\"\n  }\n}\n");
    tt_buf_release(&out);
}

#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_of_the_real_library_is_read),
        cmocka_unit_test(test_every_truncation_is_an_error_that_names_its_place),
        cmocka_unit_test(test_what_breaks_a_rule_of_the_format_is_refused),
        cmocka_unit_test(test_what_the_real_reader_tolerates_is_read),
        cmocka_unit_test(test_a_file_is_written_as_the_real_library_writes_it),
        cmocka_unit_test(test_what_the_format_cannot_hold_is_not_written),
        cmocka_unit_test(test_the_shards_of_a_dcp_job_are_chunks_of_one_tensor),
        cmocka_unit_test(test_a_shard_by_itself_has_what_it_has),
        cmocka_unit_test(test_folders_of_transformers_and_dcp_are_read_by_their_index),
        IN_FOLDER(test_an_index_that_does_not_fit_its_files_is_refused),
        IN_FOLDER(test_names_that_lead_out_of_the_folder_are_refused),
        IN_FOLDER(test_where_two_files_have_a_tensor_the_index_decides),
        IN_FOLDER(test_links_are_followed_and_what_is_no_file_is_refused),
        IN_FOLDER(test_a_folder_with_metadata_is_dcps),
        cmocka_unit_test(test_an_index_is_written_as_transformers_writes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
