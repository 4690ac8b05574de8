/* Checkpoints that PyTorch made (tests/golden), whole and damaged. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/file.h"
#include "ckpt/ckpt.h"
#include "ckpt/load.h"
#include "ckpt/write.h"
#include "format/hf_index.h"
#include "format/metadata.h"
#include "format/pickle_value.h"
#include "format/pt.h"

static char out_path[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(out_path, sizeof out_path, "/tmp/titan-test-%d.pt", (int)getpid());
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(out_path);
    return 0;
}

/* Everything that is read of a checkpoint: catalogue, values, tensors. */
static tt_status convert(const char *path, struct tt_err *err)
{
    struct tt_ckpt *ckpt = NULL;
    tt_status st = tt_ckpt_open(&ckpt, path, err);
    if (st == TT_OK)
        st = tt_ckpt_write(ckpt, &(struct tt_target){ .format = TT_CKPT_PT, .path = out_path },
                                               &(struct tt_write_opts){ .force = true }, err);
    tt_ckpt_close(ckpt);
    return st;
}

static void test_every_dialect_gives_the_same_catalogue(void **state)
{
    static const char *const names[] = { "torch-2.13", "bare", "python-3.14", "protocol-2", "protocol-3" };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[200];
        struct tt_err err = { 0 };
        struct tt_ckpt *ckpt = NULL;
        snprintf(path, sizeof path, "tests/golden/dialects/%s", names[i]);
        if (tt_ckpt_open(&ckpt, path, &err) != TT_OK || convert(path, &err) != TT_OK)
            fail_msg("%s", err.msg);
        const struct tt_entry *w = tt_entries_find(&ckpt->entries, "w"), *n = tt_entries_find(&ckpt->entries, "a.n");
        assert_non_null(w);
        assert_non_null(n);
        assert_int_equal(ckpt->entries.n, 2);
        assert_int_equal(w->dtype, TT_F32);
        assert_int_equal(w->ndim, 2);
        assert_int_equal(w->shape[0] * 10 + w->shape[1], 33);
        assert_int_equal(w->nchunks, 2);
        assert_int_equal(w->chunks[1].offsets[0], 2);
        assert_int_equal(w->chunks[0].offset, 1261);
        assert_int_equal(n->npath, strcmp(names[i], "bare") == 0 ? 0 : 2);
        tt_ckpt_close(ckpt);
    }
}

/* What the versions of PyTorch have in common: the tensors of each, and the keys and the value of a .pt made of it. PyTorch before 2.4
 * saves the dict a as one value. */
static void check_version(const char *path)
{
    static const int64_t nine[] = { 3, 3 }, four[] = { 4 };
    float w[9];
    int64_t s = 0;
    uint16_t b[4];
    const struct tt_want wants[] = { { "w", TT_F32, 2, nine, NULL, NULL, w }, { "s", TT_I64, 0, NULL, NULL, NULL, &s },
                                     { "m.b", TT_BF16, 1, four, NULL, NULL, b } };
    struct tt_ckpt *ckpt = NULL, *pt = NULL;
    const struct tt_value *n = NULL;
    struct tt_err err = { 0 };

    if (tt_ckpt_open(&ckpt, path, &err) != TT_OK || tt_ckpt_load(ckpt, wants, 3, NULL, &err) != TT_OK ||
        convert(path, &err) != TT_OK || tt_ckpt_open(&pt, out_path, &err) != TT_OK || tt_ckpt_value(pt, "a.n", &n, &err) != TT_OK)
        fail_msg("%s", err.msg);
    for (int i = 0; i < 9; i++)
        assert_true(w[i] == (float)i);
    assert_int_equal(s, 7);
    assert_memory_equal(b, ((const uint16_t[]){ 0x0000, 0x3f80, 0x4000, 0x4040 }), sizeof b);
    assert_int_equal(tt_entries_find(&ckpt->entries, "w")->nchunks, 2);
    assert_int_equal(ckpt->entries.n, 4);
    assert_int_equal(pt->entries.n, 4);
    assert_int_equal(n->kind, TT_V_INT);
    assert_int_equal(n->u.i, 5);
    tt_ckpt_close(pt);
    tt_ckpt_close(ckpt);
}

static void test_every_version_of_pytorch_gives_the_same_checkpoint(void **state)
{
    (void)state;
    check_version("tests/golden/versions/torch-2.1");
    check_version("tests/golden/versions/torch-2.3");
    check_version("tests/golden/versions/torch-2.6");
    check_version("tests/golden/versions/torch-2.13");
    check_version("tests/golden/versions/torch-2.14");
    check_version("tests/golden/versions/torch-2.15");
}

static void test_every_golden_converts(void **state)
{
    static const char *const names[] = { "dcp-types", "dcp-zstd", "dialects/zstd-1.2", "dcp-rows2", "dcp-rows4", "dcp-grid4",  "pt/types.pt",
                                         "pt/views.pt", "pt/module.pt", "pt/parameter.pt", "pt/many.ckpt.pt" };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[200];
        struct tt_err err = { 0 };
        snprintf(path, sizeof path, "tests/golden/%s", names[i]);
        if (convert(path, &err) != TT_OK)
            fail_msg("%s", err.msg);
    }
}

/* Each folder of tests/golden/bad fails, and its message holds what MESSAGES says. */
static void test_every_bad_checkpoint_is_refused_with_its_message(void **state)
{
    struct tt_buf text = { 0 };
    int n = 0;
    (void)state;
    unlink(out_path);
    assert_int_equal(tt_file_read_all(&text, "tests/golden/bad/MESSAGES", 1 << 20, NULL), TT_OK);
    char *save = NULL;
    tt_buf_byte(&text, 0);
    for (char *line = strtok_r((char *)text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save), n++) {
        char *expected = strchr(line, '\t'), path[200];
        struct tt_err err = { .msg = "" };
        assert_non_null(expected);
        *expected++ = 0;
        snprintf(path, sizeof path, "tests/golden/bad/%s", line);
        if (convert(path, &err) == TT_OK)
            fail_msg("%s: converted, but expected \"%s\"", line, expected);
        if (!strstr(err.msg, expected))
            fail_msg("%s: expected \"%s\" in \"%s\"", line, expected, err.msg);
    }
    assert_in_range(n, 30, 100);
    assert_false(tt_path_exists("hacked"));
    assert_false(tt_path_exists(out_path));
    tt_buf_release(&text);
}

/* --- damage ------------------------------------------------------------------------------------------------------------------- */

typedef tt_status decode_fn(const uint8_t *bytes, size_t n, struct tt_err *err);

static tt_status decode_metadata(const uint8_t *bytes, size_t n, struct tt_err *err)
{
    struct tt_entries entries = { 0 };
    const tt_status st = tt_metadata_decode(&entries, bytes, n, "bytes", err);
    tt_entries_release(&entries);
    return st;
}

static tt_status decode_pt(const uint8_t *bytes, size_t n, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_pt pt;
    const struct tt_source src = { .data = bytes, .nbytes = n, .name = "bytes" };
    const tt_status st = tt_pt_open(&pt, &arena, &src, err);
    tt_arena_release(&arena);
    return st;
}

static tt_status decode_index(const uint8_t *bytes, size_t n, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_hf_index index;
    const tt_status st = tt_hf_index_decode(&index, &arena, bytes, n, "bytes", err);
    tt_arena_release(&arena);
    return st;
}

/* The bytes lie at the end of their allocation, so that a sanitizer sees one read too many. */
static tt_status decode_copy(decode_fn *decode, const uint8_t *bytes, size_t n, struct tt_err *err)
{
    uint8_t *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    if (n)
        memcpy(copy, bytes, n);
    const tt_status st = decode(copy, n, err);
    free(copy);
    return st;
}

static const struct { const char *path; decode_fn *decode; } damaged[] = {
    { "tests/golden/dialects/torch-2.13/.metadata", decode_metadata },
    { "tests/golden/versions/torch-2.15/.metadata", decode_metadata },
    { "tests/golden/dcp-rows2/.metadata", decode_metadata },
    { "tests/golden/pt/parameter.pt", decode_pt },
    { "tests/golden/pt/views.pt", decode_pt },
    { "tests/golden/hf/dcp-one/model.safetensors.index.json", decode_index },
};

/* The place of binary data is its offset; JSON's is a line and a column. */
static bool names_place(const char *message)
{
    int line, column;
    return strncmp(message, "bytes: offset ", 14) == 0 || strncmp(message, "bytes: data.pkl: offset ", 24) == 0 ||
           sscanf(message, "bytes:%d:%d: ", &line, &column) == 2;
}

static void test_every_truncation_is_an_error_that_names_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        struct tt_buf bytes = { 0 };
        assert_int_equal(tt_file_read_all(&bytes, damaged[i].path, 1 << 20, NULL), TT_OK);
        assert_int_equal(decode_copy(damaged[i].decode, bytes.data, bytes.len, NULL), TT_OK);
        while (bytes.data[bytes.len - 1] == '\n') /* JSON is whole without it */
            bytes.len--;
        for (size_t n = 0; n < bytes.len; n++) {
            struct tt_err err = { .msg = "" };
            if (decode_copy(damaged[i].decode, bytes.data, n, &err) != TT_EFORMAT || !names_place(err.msg))
                fail_msg("%s: %zu of %zu bytes: %s", damaged[i].path, n, bytes.len, err.msg);
        }
        tt_buf_release(&bytes);
    }
}

/* Many flips leave a valid file (a tensor's value, a name); none may do worse than be an error. */
static void test_no_flipped_bit_does_harm(void **state)
{
    size_t refused = 0, tried = 0;
    (void)state;
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        struct tt_buf bytes = { 0 };
        assert_int_equal(tt_file_read_all(&bytes, damaged[i].path, 1 << 20, NULL), TT_OK);
        for (size_t bit = 0; bit < 8 * bytes.len; bit += 3, tried++) {
            bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            refused += decode_copy(damaged[i].decode, bytes.data, bytes.len, NULL) != TT_OK;
            bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        tt_buf_release(&bytes);
    }
    assert_in_range(refused, tried / 4, tried);
}

/* --- what torch.save writes, byte for byte ------------------------------------------------------------------------------------ */

static void put_record(struct tt_buf *out, struct tt_zip_record *r, const uint8_t *bytes)
{
    r->crc = tt_crc32(0, bytes, (size_t)r->nbytes);
    assert_int_equal(out->len, r->header_offset);
    tt_zip_put_header(out, r);
    assert_int_equal(out->len, r->data_offset);
    tt_buf_put(out, bytes, (size_t)r->nbytes);
    tt_zip_put_descriptor(out, r);
}

static int by_offset(const void *a, const void *b)
{
    const uint64_t x = ((const struct tt_zip_entry *)a)->offset, y = ((const struct tt_zip_entry *)b)->offset;
    return x < y ? -1 : x > y;
}

/* Takes the records of a file of torch.save apart and writes them again. */
static void test_the_zip_writer_gives_the_bytes_of_torch_save(void **state)
{
    static const char *const paths[] = { "tests/golden/pt/types.pt", "tests/golden/pt/views.pt", "tests/golden/pt/many.ckpt.pt",
                                         "tests/golden/pt/module.pt" };
    (void)state;
    for (size_t f = 0; f < sizeof paths / sizeof paths[0]; f++) {
        struct tt_buf bytes = { 0 }, mine = { 0 };
        struct tt_arena arena = { 0 };
        struct tt_zip zip;
        assert_int_equal(tt_file_read_all(&bytes, paths[f], 1 << 20, NULL), TT_OK);
        const struct tt_source src = { .data = bytes.data, .nbytes = bytes.len, .name = "bytes" };
        assert_int_equal(tt_zip_open(&zip, &arena, &src, NULL), TT_OK);
        qsort(zip.entries, zip.n, sizeof *zip.entries, by_offset);
        struct tt_zip_record *records = tt_arena_array(&arena, zip.n, sizeof *records);
        assert_non_null(records);
        for (size_t i = 0; i < zip.n; i++)
            records[i] = (struct tt_zip_record){ .root = zip.root, .name = zip.entries[i].name, .nbytes = zip.entries[i].nbytes };
        const uint64_t tail = tt_zip_layout(records, zip.n);
        for (size_t i = 0; i < zip.n; i++)
            put_record(&mine, &records[i], bytes.data + zip.entries[i].offset);
        assert_int_equal(mine.len, tail);
        tt_zip_put_tail(&mine, records, zip.n);
        assert_int_equal(mine.len, tail + tt_zip_tail_nbytes(records, zip.n));
        assert_int_equal(mine.len, bytes.len);
        assert_memory_equal(mine.data, bytes.data, bytes.len);
        tt_buf_release(&bytes);
        tt_buf_release(&mine);
        tt_arena_release(&arena);
    }
}

/* tests/golden/zip64.pieces as the sparse file that it was. False: not here, and why is printed. */
static bool make_large(struct tt_infile *out, const char *path)
{
    struct tt_buf pieces = { 0 };
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0;

    assert_int_equal(tt_file_read_all(&pieces, "tests/golden/zip64.pieces", 1 << 20, NULL), TT_OK);
    for (size_t at = 0; ok && at < pieces.len;) {
        const uint64_t offset = tt_load_le64(pieces.data + at), nbytes = tt_load_le64(pieces.data + at + 8);
        ok = pwrite(fd, pieces.data + at + 16, (size_t)nbytes, (off_t)offset) == (ssize_t)nbytes;
        at += 16 + (size_t)nbytes;
    }
    if (!ok)
        printf("SKIP test_the_zip_writer_gives_the_bytes_of_torch_save_beyond_4_gib: %s: no sparse file of 12 GiB: %s\n", path,
               strerror(errno));
    tt_buf_release(&pieces);
    if (fd >= 0)
        close(fd);
    if (ok)
        assert_int_equal(tt_infile_open(out, path, NULL), TT_OK);
    return ok;
}

static void assert_same_bytes(struct tt_buf *mine, const struct tt_infile *in, uint64_t offset)
{
    uint8_t theirs[2048];
    assert_in_range(mine->len, 0, sizeof theirs);
    assert_int_equal(tt_infile_pread(in, theirs, mine->len, offset, NULL), TT_OK);
    assert_memory_equal(mine->data, theirs, mine->len);
    tt_buf_clear(mine);
}

/* The same of a size and of an offset that 32 bits hold and that they do not, apart and together: all but the data. */
static void test_the_zip_writer_gives_the_bytes_of_torch_save_beyond_4_gib(void **state)
{
    struct tt_infile in = { .fd = -1 };
    struct tt_arena arena = { 0 };
    struct tt_buf mine = { 0 };
    struct tt_zip zip;
    (void)state;

    unlink(out_path);
    if (make_large(&in, out_path)) {
        const struct tt_source src = { .file = &in, .nbytes = in.nbytes, .name = "large" };
        assert_int_equal(tt_zip_open(&zip, &arena, &src, NULL), TT_OK);
        qsort(zip.entries, zip.n, sizeof *zip.entries, by_offset);
        struct tt_zip_record *r = tt_arena_array(&arena, zip.n, sizeof *r);
        assert_non_null(r);
        for (size_t i = 0; i < zip.n; i++)
            r[i] = (struct tt_zip_record){ .root = zip.root, .name = zip.entries[i].name, .nbytes = zip.entries[i].nbytes,
                                           .crc = zip.entries[i].crc };
        const uint64_t tail = tt_zip_layout(r, zip.n);
        for (size_t i = 0; i < zip.n; i++) {
            assert_int_equal(r[i].data_offset, zip.entries[i].offset);
            tt_zip_put_header(&mine, &r[i]);
            assert_same_bytes(&mine, &in, r[i].header_offset);
            tt_zip_put_descriptor(&mine, &r[i]);
            assert_same_bytes(&mine, &in, r[i].data_offset + r[i].nbytes);
        }
        tt_zip_put_tail(&mine, r, zip.n);
        assert_int_equal(tail + mine.len, in.nbytes);
        assert_same_bytes(&mine, &in, tail);
    }
    tt_infile_close(&in);
    tt_buf_release(&mine);
    tt_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_dialect_gives_the_same_catalogue),
        cmocka_unit_test(test_every_version_of_pytorch_gives_the_same_checkpoint),
        cmocka_unit_test(test_every_golden_converts),
        cmocka_unit_test(test_every_bad_checkpoint_is_refused_with_its_message),
        cmocka_unit_test(test_every_truncation_is_an_error_that_names_its_place),
        cmocka_unit_test(test_no_flipped_bit_does_harm),
        cmocka_unit_test(test_the_zip_writer_gives_the_bytes_of_torch_save),
        cmocka_unit_test(test_the_zip_writer_gives_the_bytes_of_torch_save_beyond_4_gib),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
