#include "test_loader.h"

#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

#include "data/text.h"

/* n samples, "<tag> 0", "<tag> 1" ..., as JSON lines. */
static struct tt_buf lines(const char *tag, int n)
{
    struct tt_buf b = { 0 };
    for (int i = 0; i < n; i++)
        tt_buf_printf(&b, "{\"id\": 123456789012345678901234567890, \"text\": \"%s %d\"}%s", tag, i, i % 3 ? "\n" : "\r\n\n");
    return b;
}

static const char *write_lines(const char *name, const char *tag, int n)
{
    struct tt_buf b = lines(tag, n);
    const char *path = write_file(name, b.data, b.len);
    tt_buf_release(&b);
    return path;
}

/* --- sources ----------------------------------------------------------------------------------------------------------- */

static void expect_sample(struct tt_text *t, const char *want)
{
    struct tt_err err = { 0 };
    const char *s = NULL;
    size_t n = 0;
    if (tt_text_next(t, &s, &n, &err) != TT_OK)
        fail_msg("%s", err.msg);
    if (!want) {
        assert_null(s);
        return;
    }
    assert_non_null(s);
    assert_string_equal(s, want);
    assert_int_equal(n, strlen(want));
}

static void test_any_sample_can_be_gone_to(void **state)
{
    (void)state;
    struct tt_err err;
    struct tt_text *t;
    write_lines("many/a.json", "a", 600);
    write_lines("many/b.jsonl", "b", 3);
    assert_int_equal(tt_text_open(&t, in_folder("many"), NULL, "train", &err), TT_OK);
    assert_int_equal(tt_text_count(t), 603);
    static const struct {
        int64_t index;
        const char *text;
    } places[] = {
        { 0, "a 0" },  { 599, "a 599" }, { 600, "b 0" },   { 602, "b 2" },
        { 603, NULL }, { 255, "a 255" }, { 256, "a 256" }, { 1, "a 1" },
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        assert_int_equal(tt_text_seek(t, places[i].index, &err), TT_OK);
        expect_sample(t, places[i].text);
    }
    assert_int_equal(tt_text_seek(t, 604, &err), TT_EINVAL);
    assert_int_equal(tt_text_seek(t, 598, &err), TT_OK);
    static const char *const on[] = { "a 598", "a 599", "b 0", "b 1", "b 2", NULL };
    for (size_t i = 0; i < 6; i++)
        expect_sample(t, on[i]);
    tt_text_free(t);
}

/* Two members, as concatenated .gz files have them. */
static const char *write_gz(const char *name, const struct tt_buf *b)
{
    const char *path = write_file(name, "", 0);
    for (int part = 0; part < 2; part++) {
        gzFile f = gzopen(path, part ? "ab" : "wb");
        assert_non_null(f);
        const size_t half = b->len / 2, at = part ? half : 0, n = part ? b->len - half : half;
        assert_int_equal(gzwrite(f, b->data + at, (unsigned)n), (int)n);
        assert_int_equal(gzclose(f), Z_OK);
    }
    return path;
}

static const char *write_zst(const char *name, const struct tt_buf *b)
{
    const size_t cap = ZSTD_compressBound(b->len);
    void *packed = malloc(cap);
    const size_t n = ZSTD_compress(packed, cap, b->data, b->len, 3);
    assert_false(ZSTD_isError(n));
    const char *path = write_file(name, packed, n);
    free(packed);
    return path;
}

static void check_packed(const char *path)
{
    struct tt_err err;
    struct tt_text *t;
    assert_int_equal(tt_text_open(&t, path, NULL, "train", &err), TT_OK);
    assert_int_equal(tt_text_count(t), 5000);
    assert_int_equal(tt_text_seek(t, 4321, &err), TT_OK);
    expect_sample(t, "p 4321");
    assert_int_equal(tt_text_seek(t, 7, &err), TT_OK);
    expect_sample(t, "p 7");
    tt_text_free(t);

    struct tt_buf whole = { 0 };
    assert_int_equal(tt_file_read_all(&whole, path, 1 << 24, &err), TT_OK);
    const char *cut = write_file(tt_has_suffix(path, ".gz") ? "cut.json.gz" : "cut.json.zst", whole.data, whole.len - 9);
    assert_int_equal(tt_text_open(&t, cut, NULL, "train", &err), TT_EFORMAT);
    assert_non_null(strstr(err.msg, "cut.json"));
    tt_buf_release(&whole);
}

static void test_compressed_files_read_like_plain_ones(void **state)
{
    (void)state;
    struct tt_buf b = lines("p", 5000);
    check_packed(write_gz("p.json.gz", &b));
    check_packed(write_zst("p.json.zst", &b));
    tt_buf_release(&b);
}

static void test_bad_lines_are_errors_that_name_file_and_line(void **state)
{
    (void)state;
    static const struct { const char *line, *message; } cases[] = {
        { "{\"text\": \"a\"", "not a JSON object" },
        { "{\"text\": \"a\"} x", "not a JSON object" },
        { "{\"text\": \"\\ud800\"}", "not a JSON object" },
        { "{\"text\": \"\xff\"}", "not a JSON object" },
        { "{\"text\": \"a\", \"text\": \"b\"}", "not a JSON object" },
        { "[{\"text\": \"a\"}", "found the start of an array" },
        { "\"a\"", "not a JSON object" },
        { "[\"a\"]", "expected a JSON object" },
        { "{\"txt\": \"a\"}", "expected a key \"text\"" },
        { "{\"text\": null}", "\"text\": expected a string" },
        { "{\"text\": 12}", "\"text\": expected a string" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tt_err err = { 0 };
        struct tt_text *t;
        const char *s;
        size_t n;
        struct tt_buf b = { 0 };
        tt_buf_printf(&b, "{\"text\": \"fine\"}\n\n%s\n", cases[i].line);
        assert_int_equal(tt_text_open(&t, write_file("bad.json", b.data, b.len), NULL, "train", &err), TT_OK);
        expect_sample(t, "fine");
        assert_int_equal(tt_text_next(t, &s, &n, &err), TT_EFORMAT);
        if (!strstr(err.msg, "bad.json: line 3: ") || !strstr(err.msg, cases[i].message))
            fail_msg("case %zu: %s", i, err.msg);
        tt_text_free(t);
        tt_buf_release(&b);
    }
}

static void test_sources_without_samples_are_errors(void **state)
{
    (void)state;
    struct tt_err err;
    struct tt_text *t;
    assert_int_equal(tt_text_open(&t, in_folder("nothing-here"), NULL, "train", &err), TT_ENOENT);
    assert_int_equal(tt_text_open(&t, write_file("empty.json", "\n \n", 3), NULL, "train", &err), TT_EFORMAT);
    assert_non_null(strstr(err.msg, "empty.json: no samples"));
    write_file("other/notes.txt", "x", 1);
    assert_int_equal(tt_text_open(&t, in_folder("other"), NULL, "train", &err), TT_ENOENT);
}

/* --- batches ----------------------------------------------------------------------------------------------------------- */

static void test_batches_and_positions_are_those_of_the_reference(void **state)
{
    (void)state;
    run_cases("tests/golden/data/batches.json", "c4_test", "tests/golden/data/samples");
}

static void test_a_bad_position_is_an_error_and_changes_nothing(void **state)
{
    (void)state;
    struct tt_err err;
    struct tt_loader *l;
    const struct tt_loader_opts o = { .dataset = "c4_test", .path = "tests/golden/data/samples", .seq_len = 8, .local_batch = 1,
                                      .dp_world = 1, .infinite = true };
    int32_t x[8], y[8];
    int64_t nseq;
    assert_int_equal(tt_loader_new(&l, tok, &o, &err), TT_OK);
    assert_int_equal(tt_loader_next(l, x, y, &nseq, &err), TT_OK);
    const struct tt_value *before = a_state(l);
    static const struct {
        const char *json, *message;
    } cases[] = {
        { "{}", "_num_yielded" },
        { "{\"_snapshot\": {\"_worker_snapshots\": {\"worker_0\": {\"dataset_state\": {}}}}}", "_num_workers: expected an integer" },
        { "{\"dataset_state\": {\"data\": {}}}", "in a streamed dataset, which c4_test is not" },
        { "{\"_num_yielded\": 1, \"_sampler_iter_yielded\": 1, \"_iterator_finished\": false, \"fetcher_state\": "
          "{\"fetcher_ended\": "
          "false}, \"dataset_state\": {\"token_buffer\": [], \"sample_idx\": 8}}",
          "sample_idx: expected at most 7" },
        { "{\"_num_yielded\": 1, \"_sampler_iter_yielded\": 1, \"_iterator_finished\": false, \"fetcher_state\": "
          "{\"fetcher_ended\": "
          "false}, \"dataset_state\": {\"token_buffer\": [99999], \"sample_idx\": 7}}",
          "another tokenizer" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tt_value *v;
        assert_int_equal(tt_json_parse(&v, &arena, cases[i].json, strlen(cases[i].json), "case", &err), TT_OK);
        assert_int_not_equal(tt_loader_restore(l, v, "ckpt: dataloader.dp_rank_0", &err), TT_OK);
        if (!strstr(err.msg, "ckpt: dataloader.dp_rank_0: ") || !strstr(err.msg, cases[i].message))
            fail_msg("case %zu: %s", i, err.msg);
        assert_true(tt_value_equal(before, a_state(l)));
    }
    tt_loader_free(l);
}

static void test_ranks_without_samples_and_endless_nothing_are_errors(void **state)
{
    (void)state;
    struct tt_err err;
    struct tt_loader *l;
    struct tt_loader_opts o = { .dataset = "c4_test", .path = write_lines("two.json", "x", 2), .seq_len = 8, .local_batch = 1,
                                .dp_rank = 2, .dp_world = 3, .infinite = true };
    assert_int_equal(tt_loader_new(&l, tok, &o, &err), TT_EINVAL);
    assert_non_null(strstr(err.msg, "2 samples leave none for data-parallel rank 2 of 3"));
    o.path = "-";
    assert_int_equal(tt_loader_new(&l, tok, &o, &err), TT_EINVAL);
    o.dp_rank = 0;
    o.dp_world = 1;
    o.nranks = 2; /* of one batch */
    assert_int_equal(tt_loader_new(&l, tok, &o, &err), TT_EINVAL);
    assert_string_equal(err.msg, "-: a pipe cannot be read by each of 2 ranks: they need a file");
}

static void test_a_pipe_is_read_once_and_ends(void **state)
{
    (void)state;
    struct tt_err err;
    struct tt_loader *l;
    const struct tt_loader_opts o = {
        .dataset = "c4_test", .path = "-", .seq_len = 4, .local_batch = 2, .dp_world = 1, .infinite = true
    };
    const int keep = dup(STDIN_FILENO);
    assert_non_null(freopen(write_lines("pipe.json", "x", 5), "r", stdin));
    assert_int_equal(tt_loader_new(&l, tok, &o, &err), TT_OK);
    int32_t x[8], y[8];
    int64_t nseq = 1, total = 0;
    while (nseq > 0) {
        assert_int_equal(tt_loader_next(l, x, y, &nseq, &err), TT_OK);
        total += nseq;
    }
    assert_int_equal(total, 5); /* 5 samples of BOS x, space, digit, EOS: 25 tokens, 5 a sequence */
    tt_loader_free(l);
    dup2(keep, STDIN_FILENO);
    close(keep);
}

static void test_names_of_datasets(void **state)
{
    (void)state;
    struct tt_err err;
    const char *path;
    assert_int_equal(tt_dataset_path(&path, "training", "C4_test", NULL, &err), TT_OK);
    assert_string_equal(path, "tests/assets/c4_test");
    assert_int_equal(tt_dataset_path(&path, "training", "c4_test", "mine", &err), TT_OK);
    assert_string_equal(path, "mine");
    assert_int_equal(tt_dataset_path(&path, "validation", "c4_validation", "mine", &err), TT_OK);
    assert_string_equal(path, "mine");
    assert_int_equal(tt_dataset_path(&path, "training", "c4", NULL, &err), TT_EUNSUPPORTED);
    assert_int_equal(tt_dataset_path(&path, "validation", "c4_validation", NULL, &err), TT_EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "validation.dataset c4_validation"));
    assert_int_equal(tt_dataset_path(&path, "training", "pile", NULL, &err), TT_EINVAL);
}

/* Samples of 5 tokens, <bos> x space digit <eos>, in sequences of 3 and the label behind them: the next sequence's inputs. */
static void expect_tokens(struct tt_loader *l, const char *want)
{
    static const char *const names[] = { "<bos>", "x", " ", "0", "1", "2", "<eos>" };
    struct tt_buf found = { 0 };
    int32_t input[3], labels[3], id[7];
    int64_t nseq;
    struct tt_err err;
    static const char *const texts[] = { "x 0", "x 1", "x 2" };
    struct tt_encoder *enc;

    assert_int_equal(tt_encoder_new(&enc, tok, &err), TT_OK);
    for (int i = 0; i < 3; i++) {
        struct tt_tokens t = { 0 };
        assert_int_equal(tt_encode(enc, &t, texts[i], 3, TT_ENCODE_BOS | TT_ENCODE_EOS, &err), TT_OK);
        assert_int_equal(t.n, 5);
        id[0] = t.id[0], id[1] = t.id[1], id[2] = t.id[2], id[3 + i] = t.id[3], id[6] = t.id[4];
        tt_tokens_release(&t);
    }
    tt_encoder_free(enc);
    assert_int_equal(tt_loader_next(l, input, labels, &nseq, &err), TT_OK);
    for (int i = 0; i < 3 * nseq; i++)
        for (int k = 0; k < 7; k++)
            if (input[i] == id[k])
                tt_buf_str(&found, names[k]);
    assert_string_equal(tt_buf_cstr(&found), want);
    tt_buf_release(&found);
}

static void test_an_iteration_begins_where_the_last_one_ended_or_streamed_data_anew(void **state)
{
    (void)state;
    struct tt_err err;
    struct tt_loader *l;
    struct tt_loader_opts o = {
        .path = write_lines("again.json", "x", 3), .seq_len = 3, .local_batch = 1, .dp_world = 1, .infinite = true
    };
    for (int streamed = 0; streamed < 2; streamed++) {
        o.dataset = streamed ? "c4" : "c4_test";
        assert_int_equal(tt_loader_new(&l, tok, &o, &err), TT_OK);
        assert_int_equal(tt_loader_restart(l, &err), TT_OK);
        expect_tokens(l, "<bos>x ");
        expect_tokens(l, "<eos><bos>x");
        assert_int_equal(tt_loader_restart(l, &err), TT_OK);
        expect_tokens(l, "1<eos><bos>"); /* the buffer had "1", <eos> */
        expect_tokens(l, streamed ? " 0<eos>" : " 2<eos>");
        tt_loader_free(l);
    }
    o.infinite = false;
    for (int streamed = 0; streamed < 2; streamed++) { /* 15 tokens are 3 sequences of 4, and 3 left over */
        o.dataset = streamed ? "c4" : "c4_test";
        assert_int_equal(tt_loader_new(&l, tok, &o, &err), TT_OK);
        for (int i = 0; i < 2; i++)
            expect_tokens(l, i == 0 ? "<bos>x " : "<eos><bos>x");
        expect_tokens(l, "1<eos><bos>");
        expect_tokens(l, "");
        struct tt_value *end = a_state(l);
        for (int restored = 0; restored < 2; restored++) {
            if (restored)
                assert_int_equal(tt_loader_restore(l, end, "end", &err), TT_OK);
            assert_int_equal(tt_loader_restart(l, &err), TT_OK);
            expect_tokens(l, " 2<eos>");
            expect_tokens(l, "x 0");
        }
        tt_loader_free(l);
    }
}

static void test_eos_ends_its_own_document(void **state)
{
    (void)state;
    const int32_t input[] = { 5, 9, 9, 4, 9, 1, 2, 3 }, want[] = { 0, 0, 1, 2, 0, 1, 1, 1 };
    int32_t doc[8];
    tt_document_ids(doc, input, 2, 4, 9);
    assert_memory_equal(doc, want, sizeof want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_sample_can_be_gone_to),
        cmocka_unit_test(test_compressed_files_read_like_plain_ones),
        cmocka_unit_test(test_bad_lines_are_errors_that_name_file_and_line),
        cmocka_unit_test(test_sources_without_samples_are_errors),
        cmocka_unit_test(test_batches_and_positions_are_those_of_the_reference),
        cmocka_unit_test(test_a_bad_position_is_an_error_and_changes_nothing),
        cmocka_unit_test(test_ranks_without_samples_and_endless_nothing_are_errors),
        cmocka_unit_test(test_a_pipe_is_read_once_and_ends),
        cmocka_unit_test(test_names_of_datasets),
        cmocka_unit_test(test_an_iteration_begins_where_the_last_one_ended_or_streamed_data_anew),
        cmocka_unit_test(test_eos_ends_its_own_document),
    };
    return cmocka_run_group_tests_name("loader", tests, set_up, tear_down);
}
