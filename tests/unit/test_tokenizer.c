#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/regex.h"
#include "data/tokenizer.h"
#include "data/unicode.h"
#include "value/json.h"

static const char golden[] = "tests/golden/data/tokenizer";

static struct tt_value *parse_line(struct tt_arena *arena, char **rest)
{
    char *line = *rest, *end = line ? strchr(line, '\n') : NULL;
    struct tt_value *v;
    struct tt_err err;
    if (!end)
        return NULL;
    *end = '\0';
    *rest = end + 1;
    assert_int_equal(tt_json_parse(&v, arena, line, strlen(line), "golden", &err), TT_OK);
    return v;
}

static void encode_or_fail(struct tt_encoder *enc, struct tt_tokens *ids, const char *s, size_t n, int flags)
{
    struct tt_err err = { 0 };
    ids->n = 0;
    if (tt_encode(enc, ids, s, n, flags, &err) != TT_OK)
        fail_msg("%s", err.msg);
}

static void test_tokens_and_text_are_those_of_the_reference(void **state)
{
    (void)state;
    struct tt_err err;
    struct tt_tokenizer *tok;
    struct tt_encoder *enc;
    struct tt_buf file = { 0 }, back = { 0 };
    struct tt_tokens ids = { 0 };
    struct tt_arena arena = { 0 };
    assert_int_equal(tt_tokenizer_open(&tok, golden, &err), TT_OK);
    assert_int_equal(tt_encoder_new(&enc, tok, &err), TT_OK);
    assert_int_equal(tt_file_read_all(&file, "tests/golden/data/tokens.jsonl", 1 << 20, &err), TT_OK);
    char *rest = (char *)(uintptr_t)tt_buf_cstr(&file);
    size_t n = 0;
    for (struct tt_value *v; (v = parse_line(&arena, &rest)) != NULL; n++) {
        const struct tt_value *text = tt_value_get(v, "text"), *want = tt_value_get(v, "ids"),
                              *decoded = tt_value_get(v, "decoded");
        encode_or_fail(enc, &ids, text->u.str.s, text->u.str.nbytes, TT_ENCODE_BOS | TT_ENCODE_EOS);
        assert_int_equal(ids.n, want->u.list.n);
        for (size_t i = 0; i < ids.n; i++)
            assert_int_equal(ids.id[i], want->u.list.items[i]->u.i);
        tt_buf_clear(&back);
        assert_int_equal(tt_decode(tok, &back, ids.id, ids.n, true, &err), TT_OK);
        assert_int_equal(back.len, decoded->u.str.nbytes);
        if (back.len)
            assert_memory_equal(back.data, decoded->u.str.s, back.len);
    }
    assert_int_equal(n, 19);
    assert_int_equal(tt_tokenizer_bos(tok), 330);
    assert_int_equal(tt_tokenizer_eos(tok), 331);
    tt_arena_release(&arena);
    tt_tokens_release(&ids);
    tt_buf_release(&file);
    tt_buf_release(&back);
    tt_encoder_free(enc);
    tt_tokenizer_free(tok);
}

static void test_the_shipped_tokenizer_has_ids_below_2048(void **state)
{
    (void)state;
    struct tt_err err;
    struct tt_tokenizer *tok;
    assert_int_equal(tt_tokenizer_open(&tok, "tests/assets/tokenizer", &err), TT_OK);
    assert_int_equal(tt_tokenizer_nids(tok), 2048);
    assert_int_equal(tt_tokenizer_nvocab(tok), 2048);
    assert_true(tt_tokenizer_bos(tok) >= 0 && tt_tokenizer_eos(tok) >= 0 && tt_tokenizer_bos(tok) != tt_tokenizer_eos(tok));
    tt_tokenizer_free(tok);
}

static void test_text_that_is_not_utf8_is_an_error_with_its_place(void **state)
{
    (void)state;
    struct tt_err err;
    struct tt_tokenizer *tok;
    struct tt_encoder *enc;
    struct tt_tokens ids = { 0 };
    assert_int_equal(tt_tokenizer_open(&tok, golden, &err), TT_OK);
    assert_int_equal(tt_encoder_new(&enc, tok, &err), TT_OK);
    assert_int_equal(tt_encode(enc, &ids, "ab\xed\xa0\x80", 5, 0, &err), TT_EFORMAT);
    assert_string_equal(err.msg, "text: byte 2: not UTF-8");
    assert_int_equal(ids.n, 0);
    tt_encoder_free(enc);
    tt_tokenizer_free(tok);
}

/* --- hostile files: a folder whose tokenizer.json has this content ----------------------------------------------------- */

static char folder[] = "build/test-tokenizer-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    struct tt_err err;
    return tt_remove_all(folder, &err) == TT_OK ? 0 : -1;
}

static tt_status open_bytes(const char *name, const void *bytes, size_t n, struct tt_err *err)
{
    struct tt_tokenizer *tok = NULL;
    struct tt_arena arena = { 0 };
    const char *path = tt_path_join(&arena, folder, name);
    assert_non_null(path);
    assert_int_equal(tt_file_write_all(path, bytes, n, err), TT_OK);
    const tt_status st = tt_tokenizer_open(&tok, folder, err);
    tt_tokenizer_free(tok);
    tt_arena_release(&arena);
    return st;
}

#define VOCAB "\"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": [\"a b\"]"

static void test_what_is_not_supported_or_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *json, *message;
    } cases[] = {
        { "", "not JSON" },
        { "[]", "expected an object" },
        { "{}", "model: expected an object, found nothing" },
        { "{\"model\": {\"type\": \"WordPiece\"}}", "model: type \"WordPiece\" is not supported" },
        { "{\"model\": {\"vocab\": {\"a\": -1}, \"merges\": []}}", "vocab: \"a\": expected an id" },
        { "{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": [\"a b\"]}}", "merges[0]: \"b\" is not in vocab" },
        { "{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": [\"a\"]}}", "merges[0]: expected \"a b\" or [\"a\", \"b\"]" },
        { "{\"model\": {\"dropout\": 0.1, " VOCAB "}}", "model: dropout is not supported" },
        { "{\"model\": {\"end_of_word_suffix\": \"</w>\", " VOCAB "}}", "end_of_word_suffix \"</w>\" is not supported" },
        { "{\"model\": {" VOCAB "}, \"truncation\": {\"max_length\": 8}}", "truncation is not supported" },
        { "{\"model\": {" VOCAB "}, \"normalizer\": {\"type\": \"Lowercase\"}}",
          "normalizer: normalizer \"Lowercase\" is not supported" },
        { "{\"model\": {\"type\": \"Unigram\"}}", "model: type \"Unigram\" is not supported (BPE, WordLevel are)" },
        { "{\"model\": {\"type\": \"WordLevel\", \"vocab\": {}}}", "model: unk_token: expected a string, found nothing" },
        { "{\"model\": {" VOCAB "}, \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Replace\"}]}}",
          "normalizer.normalizers[0]: pattern: expected an object, found nothing" },
        { "{\"model\": {" VOCAB "}, \"pre_tokenizer\": {\"type\": \"Punctuation\"}}",
          "pre-tokenizer \"Punctuation\" is not supported" },
        { "{\"model\": {" VOCAB "}, \"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"ab\"}}",
          "pre_tokenizer: replacement: expected one character, found \"ab\"" },
        { "{\"model\": {" VOCAB "}, \"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"_\", "
          "\"add_prefix_space\": false}}",
          "pre_tokenizer: prepend_scheme is \"always\" where add_prefix_space is false" },
        { "{\"model\": {" VOCAB "}, \"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Strip\", \"content\": \" \", "
          "\"start\": -1}]}}",
          "decoder.decoders[0]: start: expected an integer from 0 to 2^53" },
        { "{\"model\": {" VOCAB
          "}, \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": "
          "{\"Regex\": \"(\"}, \"behavior\": \"Isolated\", \"invert\": false}]}}",
          "pre_tokenizer.pretokenizers[0]: regular expression" },
        { "{\"model\": {" VOCAB "}, \"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"[a[b]]\"}, \"behavior\": "
          "\"Isolated\", \"invert\": false}}",
          "a set within a set is not supported" },
        { "{\"model\": {" VOCAB "}, \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": []}}", "Sequence A once" },
        { "{\"model\": {" VOCAB "}, \"added_tokens\": [{\"id\": 5}]}", "added_tokens[0]: content: expected a string" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tt_err err = { 0 };
        if (open_bytes("tokenizer.json", cases[i].json, strlen(cases[i].json), &err) == TT_OK)
            fail_msg("case %zu was read", i);
        if (!strstr(err.msg, cases[i].message) || !strstr(err.msg, "/tokenizer.json"))
            fail_msg("case %zu: \"%s\" does not name the file and \"%s\"", i, err.msg, cases[i].message);
    }
}

/* Each part of the pipeline, as deep and as long as it may be and one more. */
static void test_steps_within_steps_have_a_bound(void **state)
{
    (void)state;
    static const struct {
        const char *part, *list, *step;
    } parts[] = {
        { "normalizer", "normalizers", "{\"type\": \"NFC\"}" },
        { "pre_tokenizer", "pretokenizers", "{\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true}" },
        { "post_processor", "processors", "{\"type\": \"ByteLevel\"}" },
        { "decoder", "decoders", "{\"type\": \"Fuse\"}" },
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        for (int k = 0; k < 4; k++) {
            const int depth = k == 1 ? 17 : 16, n = k == 3 ? 65 : k == 2 ? 64 : 1;
            struct tt_buf json = { 0 };
            struct tt_err err = { 0 };
            tt_buf_printf(&json, "{\"model\": {" VOCAB "}, \"%s\": ", parts[i].part);
            for (int d = 0; d < depth; d++)
                tt_buf_printf(&json, "{\"type\": \"Sequence\", \"%s\": [", parts[i].list);
            for (int j = 0; j < n; j++)
                tt_buf_printf(&json, "%s%s", j ? ", " : "", parts[i].step);
            for (int d = 0; d < depth; d++)
                tt_buf_str(&json, "]}");
            tt_buf_str(&json, "}");
            const tt_status st = open_bytes("tokenizer.json", tt_buf_cstr(&json), json.len, &err);
            const char *want = k == 1 ? "more than 16 sequences inside each other" : "more than 64 steps";
            assert_int_equal(st, k % 2 ? TT_EUNSUPPORTED : TT_OK);
            assert_true(k % 2 == 0 || (strstr(err.msg, want) && strstr(err.msg, parts[i].list)));
            tt_buf_release(&json);
        }
}

/* --- ids back to text -------------------------------------------------------------------------------------------------- */

static struct tt_tokenizer *open_json(const char *json)
{
    struct tt_err err = { 0 };
    struct tt_tokenizer *tok = NULL;
    struct tt_arena arena = { 0 };
    assert_int_equal(tt_remove_all(tt_path_join(&arena, folder, "tokenizer_config.json"), &err), TT_OK);
    assert_int_equal(tt_file_write_all(tt_path_join(&arena, folder, "tokenizer.json"), json, strlen(json), &err), TT_OK);
    if (tt_tokenizer_open(&tok, folder, &err) != TT_OK)
        fail_msg("%s", err.msg);
    tt_arena_release(&arena);
    return tok;
}

#define DECODER(d) "{\"model\": {" BYTES "}, \"decoder\": " d "}"
#define BYTES                                                                                                            \
    "\"vocab\": {\"\u2581a\": 0, \"b\": 1, \"<0xE2>\": 2, \"<0x82>\": 3, \"<0xAC>\": 4, \"\u2581\": 5, \"<0x41>\": 6}, " \
    "\"merges\": []"
#define SEQUENCE(steps) DECODER("{\"type\": \"Sequence\", \"decoders\": [" steps "]}")
#define REPLACE "{\"type\": \"Replace\", \"pattern\": {\"String\": \"\u2581\"}, \"content\": \" \"}"
#define LLAMA2                                                                                                               \
    REPLACE ", {\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}, {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, " \
            "\"stop\": 0}"
#define METASPACE(scheme) DECODER("{\"type\": \"Metaspace\", \"replacement\": \"\u2581\", \"prepend_scheme\": \"" scheme "\"}")

static void test_decoders_give_what_those_of_the_reference_give(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text;
    } cases[] = {
        /* of ids 0 1 5 0 2 3 4 1 2 3 6 */
        { "{\"model\": {" BYTES "}}", "\u2581a b \u2581 \u2581a <0xE2> <0x82> <0xAC> b <0xE2> <0x82> <0x41>" },
        { SEQUENCE(""), "\u2581ab\u2581\u2581a<0xE2><0x82><0xAC>b<0xE2><0x82><0x41>" },
        { SEQUENCE(LLAMA2), "ab  a\u20acb\ufffd\ufffd\ufffd" },
        { SEQUENCE(REPLACE ", {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}"),
          "aba<0xE2><0x82><0xAC>b<0xE2><0x82><0x41>" },
        { METASPACE("first"), "ab  a<0xE2><0x82><0xAC>b<0xE2><0x82><0x41>" },
        { METASPACE("never"), " ab  a<0xE2><0x82><0xAC>b<0xE2><0x82><0x41>" },
    };
    static const int32_t id[] = { 0, 1, 5, 0, 2, 3, 4, 1, 2, 3, 6 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tt_err err = { 0 };
        struct tt_buf text = { 0 };
        struct tt_tokenizer *tok = open_json(cases[i].json);
        assert_int_equal(tt_decode(tok, &text, id, sizeof id / sizeof *id, true, &err), TT_OK);
        assert_string_equal(tt_buf_cstr(&text), cases[i].text);
        tt_buf_release(&text);
        tt_tokenizer_free(tok);
    }
}

static void test_an_unknown_decoder_is_an_error_when_there_is_something_to_decode(void **state)
{
    (void)state;
    struct tt_err err = { 0 };
    struct tt_buf text = { 0 };
    struct tt_tokenizer *tok = open_json(SEQUENCE("{\"type\": \"CTC\"}"));
    assert_int_equal(tt_decode(tok, &text, &(int32_t){ 1 }, 1, true, &err), TT_EUNSUPPORTED);
    assert_null(text.data);
    assert_non_null(strstr(err.msg, "/tokenizer.json: decoder.decoders[0]: decoder \"CTC\" is not supported"));
    tt_tokenizer_free(tok);
}

static void test_a_stream_holds_back_a_character_until_it_is_whole(void **state)
{
    (void)state;
    static const int32_t id[] = { 0, 5, 2, 3, 4, 1, 2, 3 };
    static const char *const texts[] = { "a", " ", "", "", "\u20ac", "b", "", "" };
    struct tt_err err = { 0 };
    struct tt_buf text = { 0 };
    struct tt_decode_stream *stream;
    struct tt_tokenizer *tok = open_json(SEQUENCE(LLAMA2));
    assert_int_equal(tt_decode_stream_new(&stream, tok, true, &err), TT_OK);
    for (int twice = 0; twice < 2; twice++) { /* a stream that ended is as new */
        for (size_t i = 0; i < sizeof id / sizeof *id; i++) {
            tt_buf_clear(&text);
            assert_int_equal(tt_decode_stream_put(stream, &text, id[i], &err), TT_OK);
            assert_string_equal(tt_buf_cstr(&text), texts[i]);
        }
        assert_int_equal(tt_decode_stream_end(stream, &text, &err), TT_OK);
        assert_string_equal(tt_buf_cstr(&text), "\ufffd\ufffd");
    }
    tt_buf_clear(&text);
    assert_int_equal(tt_decode_stream_put(stream, &text, 6, &err), TT_OK); /* "A", which two broken bytes behind it take along */
    assert_string_equal(tt_buf_cstr(&text), "A");
    assert_int_equal(tt_decode_stream_put(stream, &text, 2, &err), TT_OK);
    assert_int_equal(tt_decode_stream_put(stream, &text, 1, &err), TT_EUNSUPPORTED);
    tt_decode_stream_free(stream);
    tt_buf_release(&text);
    tt_tokenizer_free(tok);
}

/* --- files without a pipeline ------------------------------------------------------------------------------------------ */

static void test_a_vocabulary_alone_is_one_of_whole_words(void **state)
{
    (void)state;
    static const char vocab[] = "[PAD]\nthe cat\r\n\xc2\xa0\r sat\x1c\n[UNK]",
                      config[] = "{\"pad_token\": \"[PAD]\", \"model_max_length\": "
                                 "1000000000000000019884624838656}";
    char dir[] = "build/test-words-XXXXXX";
    struct tt_arena arena = { 0 };
    struct tt_err err = { 0 };
    struct tt_tokenizer *tok;
    struct tt_encoder *enc;
    struct tt_tokens ids = { 0 };
    assert_non_null(mkdtemp(dir));
    assert_int_equal(tt_file_write_all(tt_path_join(&arena, dir, "vocab.txt"), vocab, sizeof vocab - 1, &err), TT_OK);
    assert_int_equal(tt_file_write_all(tt_path_join(&arena, dir, "tokenizer_config.json"), config, sizeof config - 1, &err), TT_OK);
    assert_int_equal(tt_tokenizer_open(&tok, dir, &err), TT_OK);
    assert_string_equal(tt_tokenizer_source(tok), "vocab.txt");
    assert_int_equal(tt_tokenizer_nvocab(tok), 4);
    assert_int_equal(tt_encoder_new(&enc, tok, &err), TT_OK);
    encode_or_fail(enc, &ids, "the cat[PAD]sat[PAD]the", 23, 0);
    const int32_t want[] = { 1, 0, 3, 0, 4 };
    assert_int_equal(ids.n, 5);
    assert_memory_equal(ids.id, want, sizeof want);
    tt_encoder_free(enc);
    tt_tokenizer_free(tok);

    assert_int_equal(tt_file_write_all(tt_path_join(&arena, dir, "vocab.txt"), "the", 3, &err), TT_OK);
    assert_int_equal(tt_tokenizer_open(&tok, dir, &err), TT_OK);
    assert_int_equal(tt_encoder_new(&enc, tok, &err), TT_OK);
    assert_int_equal(tt_encode(enc, &ids, "cat", 3, 0, &err), TT_EFORMAT);
    assert_non_null(strstr(err.msg, "/vocab.txt: model: \"cat\" is not in vocab, nor is unk_token \"[UNK]\" to stand for it"));
    tt_encoder_free(enc);
    tt_tokenizer_free(tok);
    tt_tokens_release(&ids);
    assert_int_equal(tt_remove_all(dir, &err), TT_OK);
    tt_arena_release(&arena);
}

static void test_every_truncation_and_flipped_bit_is_an_error_or_a_tokenizer(void **state)
{
    (void)state;
    struct tt_buf file = { 0 };
    struct tt_err err;
    assert_int_equal(tt_file_read_all(&file, "tests/golden/data/tokenizer/tokenizer.json", 1 << 20, &err), TT_OK);
    for (size_t n = 0; n + 1 < file.len; n += 1 + file.len / 150) {
        assert_int_not_equal(open_bytes("tokenizer.json", file.data, n, &err), TT_OK);
        assert_non_null(strstr(err.msg, "/tokenizer.json"));
    }
    for (size_t i = 0; i < file.len; i += 1 + file.len / 300) {
        file.data[i] ^= (uint8_t)(1u << i % 8);
        err.msg[0] = '\0';
        if (open_bytes("tokenizer.json", file.data, file.len, &err) != TT_OK)
            assert_non_null(strstr(err.msg, "/tokenizer.json"));
        file.data[i] ^= (uint8_t)(1u << i % 8);
    }
    tt_buf_release(&file);
}

static void test_eos_stays_unset_where_it_equals_bos(void **state)
{
    (void)state;
    static const char json[] = "{\"model\": {" VOCAB "}}",
                      config[] = "{\"bos_token\": \"<s>\", \"eos_token\": \"<s>\", \"add_eos_token\": true}";
    struct tt_err err;
    struct tt_tokenizer *tok;
    struct tt_encoder *enc;
    struct tt_tokens ids = { 0 };
    assert_int_equal(open_bytes("tokenizer_config.json", config, strlen(config), &err) == TT_OK,
                     0); /* the tokenizer is still bad */
    assert_int_equal(open_bytes("tokenizer.json", json, strlen(json), &err), TT_OK);
    assert_int_equal(tt_tokenizer_open(&tok, folder, &err), TT_OK);
    assert_int_equal(tt_tokenizer_bos(tok), 3);
    assert_int_equal(tt_tokenizer_eos(tok), TT_NO_TOKEN);
    assert_int_equal(tt_encoder_new(&enc, tok, &err), TT_OK);
    encode_or_fail(enc, &ids, "ab<s>ba?", 8, TT_ENCODE_BOS | TT_ENCODE_EOS);
    const int32_t want[] = { 3, 2, 3, 1, 0 };
    assert_int_equal(ids.n, 5);
    assert_memory_equal(ids.id, want, sizeof want);
    tt_tokens_release(&ids);
    tt_encoder_free(enc);
    tt_tokenizer_free(tok);
}

/* --- patterns ---------------------------------------------------------------------------------------------------------- */

/* Matches of pattern in text, each in brackets; what Oniguruma finds, asked through the reference. */
static void matches(char *out, const char *pattern, const char *text)
{
    struct tt_err err = { 0 };
    struct tt_regex *re;
    struct tt_regex_scratch *scratch;
    size_t start, end;
    bool found = true;
    *out = '\0';
    if (tt_regex_new(&re, pattern, strlen(pattern), false, "test", &err) != TT_OK)
        fail_msg("%s: %s", pattern, err.msg);
    assert_int_equal(tt_regex_scratch_new(&scratch, &err), TT_OK);
    struct tt_regex_iter it = { .re = re, .scratch = scratch, .text = text, .nbytes = strlen(text) };
    while (tt_regex_next(&it, &found, &start, &end, &err) == TT_OK && found) {
        strcat(out, "[");
        strncat(out, text + start, end - start);
        strcat(out, "]");
    }
    tt_regex_scratch_free(scratch);
    tt_regex_free(re);
}

static void test_patterns_mean_what_they_mean_to_oniguruma(void **state)
{
    (void)state;
    static const struct { const char *pattern, *text, *matches; } cases[] = {
        { "^a", "a\na\n", "[a][a]" },
        { "(?m:.+)", "a\nb", "[a\nb]" },
        { ".+", "a\nb", "[a][b]" },
        { "a{1,2}+", "aaaaa", "[aaaaa]" },
        { "a{2}+", "aaaaa", "[aaaa]" },
        { "a{,2}", "aaaaa", "[aa][aa][a]" },
        { "a++a", "aaa", "" },
        { "a+*", "aa", "[aa]" },
        { "\\h+", "ff 09 xyz", "[ff][09]" },
        { "\\v", "a\x0b\n", "[\x0b]" },
        { "\\u0041+", "AAB", "[AA]" },
        { "\\bfoo\\b", "foo foo\xc2\xb2 \xc3\xa9""foo", "[foo]" },
        { "[\\w]+", "\xc2\xb2""ab", "[ab]" },
        { "\\d+", "\xc2\xb2""1\xd9\xa1", "[1\xd9\xa1]" },
        { "\\s", "\xe1\xa0\x8e\xc2\x85\xe2\x80\x8b", "[\xc2\x85]" },
        { "\\p{^L}+", "ab1", "[1]" },
        { "a{x}", "a{x}", "[a{x}]" },
        { "(?i:'s)", "'S '\xc5\xbf", "['S]['\xc5\xbf]" },
        { "\\p{L}", "\xf0\x9e\x93\x90", "[\xf0\x9e\x93\x90]" }, /* U+1E4D0, of Unicode 15 */
        { "\\P{L}", "\xf0\x9e\x93\x90", "" },
        { "[^\\p{L}]", "\xf0\x9e\x93\x90", "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[200];
        matches(out, cases[i].pattern, cases[i].text);
        assert_string_equal(out, cases[i].matches);
    }
}

static void test_a_pattern_that_takes_forever_is_an_error(void **state)
{
    (void)state;
    struct tt_err err = { 0 };
    struct tt_regex *re;
    struct tt_regex_scratch *scratch;
    char text[61];
    memset(text, 'a', 60);
    text[60] = '\0';
    assert_int_equal(tt_regex_new(&re, "(a|aa)+(a|aa)+b", 15, false, "test", &err), TT_OK);
    assert_int_equal(tt_regex_scratch_new(&scratch, &err), TT_OK);
    struct tt_regex_iter it = { .re = re, .scratch = scratch, .text = text, .nbytes = 60 };
    bool found;
    size_t start, end;
    const tt_status st = tt_regex_next(&it, &found, &start, &end, &err);
    assert_true(st == TT_EFORMAT || (st == TT_OK && !found));
    tt_regex_scratch_free(scratch);
    tt_regex_free(re);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens_and_text_are_those_of_the_reference),
        cmocka_unit_test(test_the_shipped_tokenizer_has_ids_below_2048),
        cmocka_unit_test(test_text_that_is_not_utf8_is_an_error_with_its_place),
        cmocka_unit_test(test_what_is_not_supported_or_wrong_is_named),
        cmocka_unit_test(test_steps_within_steps_have_a_bound),
        cmocka_unit_test(test_decoders_give_what_those_of_the_reference_give),
        cmocka_unit_test(test_an_unknown_decoder_is_an_error_when_there_is_something_to_decode),
        cmocka_unit_test(test_a_stream_holds_back_a_character_until_it_is_whole),
        cmocka_unit_test(test_a_vocabulary_alone_is_one_of_whole_words),
        cmocka_unit_test(test_every_truncation_and_flipped_bit_is_an_error_or_a_tokenizer),
        cmocka_unit_test(test_eos_stays_unset_where_it_equals_bos),
        cmocka_unit_test(test_patterns_mean_what_they_mean_to_oniguruma),
        cmocka_unit_test(test_a_pattern_that_takes_forever_is_an_error),
    };
    return cmocka_run_group_tests_name("tokenizer", tests, make_folder, remove_folder);
}
