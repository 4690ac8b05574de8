/* Which files of a folder make a tokenizer, and what stands for a tokenizer.json where there is none. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/tokenizer_private.h"
#include "data/unicode.h"
#include "value/json.h"

enum { JSON_BYTES_MAX = 512 * 1024 * 1024 };

typedef tt_status parse_fn(struct tt_value **out, struct tt_arena *arena, const void *bytes, size_t nbytes, const char *path,
                           struct tt_err *err);

static tt_status parse_file(struct tt_value **out, parse_fn *parse, struct tt_arena *arena, const char *path, struct tt_err *err)
{
    struct tt_buf bytes = { 0 };
    tt_status st = tt_file_read_all(&bytes, path, JSON_BYTES_MAX, err);
    if (st == TT_OK)
        st = parse(out, arena, bytes.data, bytes.len, path, err);
    tt_buf_release(&bytes);
    return st;
}

/* --- files of lines, as Python reads them ------------------------------------------------------------------------------ */

static tt_status read_text(struct tt_buf *out, const char *path, struct tt_err *err)
{
    const tt_status st = tt_file_read_all(out, path, JSON_BYTES_MAX, err);
    if (st != TT_OK)
        return st;
    const char *text = (const char *)out->data;
    const size_t bad = tt_utf8_check(text, out->len);
    if (bad < out->len)
        return tt_err_set(err, TT_EFORMAT, "%s: byte %zu: not UTF-8", path, bad);
    const char *nul = out->len ? memchr(text, '\0', out->len) : NULL;
    if (nul)
        return tt_err_set(err, TT_EFORMAT, "%s: byte %zu: expected text, found a NUL", path, (size_t)(nul - text));
    tt_buf_byte(out, '\0');
    return tt_buf_check(out, path, err);
}

/* The line at *rest, ended by a NUL in place; NULL after the last. "\r\n" and "\r" end a line too. */
static char *next_line(char **rest)
{
    char *line = *rest;
    if (line) {
        char *end = line + strcspn(line, "\r\n");
        const size_t n = *end == '\0' ? 0 : end[0] == '\r' && end[1] == '\n' ? 2 : 1;
        *rest = n ? end + n : NULL;
        *end = '\0';
    }
    return line;
}

static bool is_space(const char *s, size_t *len)
{
    const uint32_t cp = tt_utf8_get(s, len);
    return tt_unicode_is_white(cp) || (cp >= 0x1c && cp <= 0x1f);
}

/* The next run of what is no white space at *rest, ended by a NUL in place; NULL: none. */
static char *next_word(char **rest)
{
    size_t len = 0;
    char *word = *rest;
    while (*word && is_space(word, &len))
        word += len;
    if (!*word)
        return NULL;
    char *end = word;
    while (*end && !is_space(end, &len))
        end += len;
    *rest = *end ? end + len : end;
    *end = '\0';
    return word;
}

/* Without the white space at both ends, in place. */
static char *trimmed(char *line)
{
    size_t len = 0;
    while (*line && is_space(line, &len))
        line += len;
    char *end = line;
    for (char *s = line; *s; s += len)
        if (!is_space(s, &len))
            end = s + len;
    *end = '\0';
    return line;
}

/* merges.txt: a line each, its first two words are a pair; comments and shorter lines are left out. */
static tt_status read_merges(struct tt_value *list, struct tt_arena *arena, const char *path, struct tt_err *err)
{
    struct tt_buf bytes = { 0 };
    tt_status st = read_text(&bytes, path, err);
    for (char *line, *rest = (char *)bytes.data; st == TT_OK && (line = next_line(&rest)) != NULL;) {
        char *a = next_word(&line), *b = a && *a != '#' ? next_word(&line) : NULL;
        if (!b)
            continue;
        struct tt_value *pair = tt_value_list(arena);
        if (!tt_value_append(arena, pair, tt_value_str(arena, a)) || !tt_value_append(arena, pair, tt_value_str(arena, b)) ||
            !tt_value_append(arena, list, pair))
            st = tt_err_nomem(err, 0, "merges");
    }
    tt_buf_release(&bytes);
    return st;
}

/* vocab.txt: a token a line; the line's number from 0 is its id. */
static tt_status read_vocab_txt(struct tt_value **out, struct tt_arena *arena, const char *path, struct tt_err *err)
{
    struct tt_buf bytes = { 0 };
    tt_status st = read_text(&bytes, path, err);
    struct tt_value *map = tt_value_map(arena);
    if (st == TT_OK && !map)
        st = tt_err_nomem(err, bytes.len, path);
    int64_t id = 0;
    for (char *line, *rest = (char *)bytes.data; st == TT_OK && (line = next_line(&rest)) != NULL; id++) {
        line = trimmed(line);
        if (*line && !tt_value_set(arena, map, line, tt_value_int(arena, id)))
            st = tt_err_nomem(err, strlen(line), path);
    }
    tt_buf_release(&bytes);
    if (st == TT_OK)
        *out = map;
    return st;
}

/* --- which files ------------------------------------------------------------------------------------------------------- */

/* vocab.json or vocab.txt as the tokenizer.json that it stands for: with merges.txt GPT-2's, without (NULL) one of whole words. */
static tt_status from_vocab(struct tt_value **out, struct tt_arena *arena, const char *vocab, const char *merges,
                            struct tt_err *err)
{
    static const char gpt2[] =
        "{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true},"
        " \"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\"}}";
    static const char words[] = "{\"model\": {\"type\": \"WordLevel\", \"unk_token\": \"[UNK]\"}}";
    const char *frame = merges ? gpt2 : words;
    struct tt_value *root, *tokens, *list = tt_value_list(arena);
    tt_status st = tt_json_parse(&root, arena, frame, strlen(frame), "the frame of a tokenizer", err);
    if (st == TT_OK)
        st = tt_has_suffix(vocab, ".txt") ? read_vocab_txt(&tokens, arena, vocab, err)
                                          : parse_file(&tokens, tt_json_parse, arena, vocab, err);
    if (st == TT_OK && !list)
        st = tt_err_nomem(err, 0, "merges");
    if (st == TT_OK && merges)
        st = read_merges(list, arena, merges, err);
    if (st != TT_OK)
        return st;
    struct tt_value *model = tt_value_get(root, "model");
    if (!tt_value_set(arena, model, "vocab", tokens) || (merges && !tt_value_set(arena, model, "merges", list)))
        return tt_err_nomem(err, 0, "a model");
    *out = root;
    return TT_OK;
}

struct files { char *json, *vocab_json, *vocab_txt, *merges, *config; };

static tt_status pick_and_parse(struct tt_value **out, const char **path, struct tt_arena *arena, const char *dir,
                                const struct files *f, struct tt_err *err)
{
    if (tt_path_exists(f->json)) {
        *path = f->json;
        return parse_file(out, tt_json_parse, arena, f->json, err);
    }
    const char *vocab = tt_path_exists(f->vocab_json) ? f->vocab_json : tt_path_exists(f->vocab_txt) ? f->vocab_txt : NULL;
    if (!vocab)
        return tt_err_set(err, TT_ENOENT, "%s: found no tokenizer: expected tokenizer.json, vocab.json or vocab.txt", dir);
    *path = vocab;
    return from_vocab(out, arena, vocab, tt_path_exists(f->merges) ? f->merges : NULL, err);
}

static void name_source(struct tt_tokenizer *tok, const char *path, bool merges)
{
    static const char *const names[2][2] = { { "vocab.json", "vocab.json + merges.txt" },
                                             { "vocab.txt", "vocab.txt + merges.txt" } };
    tok->source = tt_has_suffix(path, "tokenizer.json") ? "tokenizer.json" : names[tt_has_suffix(path, ".txt")][merges];
}

static tt_status read_folder(struct tt_tokenizer *tok, struct tt_arena *arena, const char *dir, struct tt_err *err)
{
    const struct files f = {
        .json = tt_path_join(arena, dir, "tokenizer.json"),
        .vocab_json = tt_path_join(arena, dir, "vocab.json"),
        .vocab_txt = tt_path_join(arena, dir, "vocab.txt"),
        .merges = tt_path_join(arena, dir, "merges.txt"),
        .config = tt_path_join(arena, dir, "tokenizer_config.json"),
    };
    if (!f.json || !f.vocab_json || !f.vocab_txt || !f.merges || !f.config)
        return tt_err_nomem(err, 0, "paths");
    struct tt_value *root = NULL, *config = NULL;
    const char *path = NULL;
    tt_status st = pick_and_parse(&root, &path, arena, dir, &f, err);
    if (st == TT_OK)
        name_source(tok, path, tt_path_exists(f.merges));
    if (st == TT_OK)
        st = tt_tokenizer_read_json(tok, root, path, err);
    if (st == TT_OK && tt_path_exists(f.config)) /* its model_max_length is 1e30 in all digits where there is none */
        st = parse_file(&config, tt_json_parse_reals, arena, f.config, err);
    if (st == TT_OK)
        st = tt_tokenizer_read_config(tok, config, f.config, err);
    return st;
}

tt_status tt_tokenizer_open(struct tt_tokenizer **out, const char *dir, struct tt_err *err)
{
    if (!tt_path_is_dir(dir))
        return tt_err_set(err, TT_ENOENT, "%s: no such folder; the tokenizer's files are looked for there (model.hf_assets_path)",
                          dir);
    struct tt_tokenizer *tok = calloc(1, sizeof *tok);
    if (!tok)
        return tt_err_nomem(err, sizeof *tok, "a tokenizer");
    struct tt_arena arena = { 0 };
    const tt_status st = read_folder(tok, &arena, dir, err);
    tt_arena_release(&arena);
    if (st != TT_OK) {
        tt_tokenizer_free(tok);
        return st;
    }
    *out = tok;
    return TT_OK;
}

const char *tt_tokenizer_source(const struct tt_tokenizer *tok) { return tok->source; }

void tt_tokenizer_free(struct tt_tokenizer *tok)
{
    if (!tok)
        return;
    tt_added_release(&tok->added);
    tt_normalizer_release(&tok->norm);
    tt_pretok_release(&tok->pretok);
    tt_decoder_release(&tok->decoder);
    tt_bpe_free(tok->bpe);
    tt_wordlevel_release(&tok->words);
    tt_vocab_release(&tok->vocab);
    tt_tokens_release(&tok->prefix);
    tt_tokens_release(&tok->suffix);
    free(tok);
}
