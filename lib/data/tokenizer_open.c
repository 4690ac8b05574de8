/* Which files of a folder make a tokenizer, and what stands for a tokenizer.json where there is none. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/tokenizer_private.h"
#include "data/unicode.h"
#include "value/json.h"

enum { JSON_BYTES_MAX = 512 * 1024 * 1024 };

static tt_status parse_file(struct tt_value **out, struct tt_arena *arena, const char *path, struct tt_err *err)
{
    struct tt_buf bytes = { 0 };
    tt_status st = tt_file_read_all(&bytes, path, JSON_BYTES_MAX, err);
    if (st == TT_OK)
        st = tt_json_parse(out, arena, bytes.data, bytes.len, path, err);
    tt_buf_release(&bytes);
    return st;
}

/* The line at *rest, ended by a NUL in place; NULL after the last. */
static char *next_line(char **rest)
{
    char *line = *rest;
    if (line) {
        char *end = strchr(line, '\n');
        *rest = end ? end + 1 : NULL;
        if (end)
            *end = '\0';
    }
    return line;
}

/* One line each: stripped, empty ones and comments left out, the first two words are a pair. */
static tt_status parse_merges(struct tt_value *list, struct tt_arena *arena, char *s, struct tt_err *err)
{
    for (char *line, *rest = s; (line = next_line(&rest)) != NULL;) {
        line += strspn(line, " \t\r\v\f");
        if (*line == '#')
            continue;
        char *after, *a = strtok_r(line, " \t\r\v\f", &after), *b = a ? strtok_r(NULL, " \t\r\v\f", &after) : NULL;
        if (!b)
            continue;
        struct tt_value *pair = tt_value_list(arena);
        if (!tt_value_append(arena, pair, tt_value_str(arena, a)) || !tt_value_append(arena, pair, tt_value_str(arena, b)) ||
            !tt_value_append(arena, list, pair))
            return tt_err_nomem(err, 0, "merges");
    }
    return TT_OK;
}

static tt_status read_merges(struct tt_value *list, struct tt_arena *arena, const char *path, struct tt_err *err)
{
    struct tt_buf bytes = { 0 };
    tt_status st = tt_file_read_all(&bytes, path, JSON_BYTES_MAX, err);
    if (st == TT_OK && tt_utf8_check((const char *)bytes.data, bytes.len) < bytes.len)
        st = tt_err_set(err, TT_EFORMAT, "%s: byte %zu: not UTF-8", path, tt_utf8_check((const char *)bytes.data, bytes.len));
    if (st == TT_OK) {
        tt_buf_byte(&bytes, '\0');
        st = tt_buf_check(&bytes, path, err);
    }
    if (st == TT_OK)
        st = parse_merges(list, arena, (char *)bytes.data, err);
    tt_buf_release(&bytes);
    return st;
}

/* vocab.txt: a token a line; the line's number from 0 is its id. */
static tt_status read_vocab_txt(struct tt_value **out, struct tt_arena *arena, const char *path, struct tt_err *err)
{
    struct tt_buf bytes = { 0 };
    tt_status st = tt_file_read_all(&bytes, path, JSON_BYTES_MAX, err);
    if (st == TT_OK && tt_utf8_check((const char *)bytes.data, bytes.len) < bytes.len)
        st = tt_err_set(err, TT_EFORMAT, "%s: byte %zu: not UTF-8", path, tt_utf8_check((const char *)bytes.data, bytes.len));
    struct tt_value *map = tt_value_map(arena);
    tt_buf_byte(&bytes, '\0');
    if (st == TT_OK && (bytes.failed || !map))
        st = tt_err_nomem(err, bytes.len, path);
    int64_t id = 0;
    for (char *line, *rest = (char *)bytes.data; st == TT_OK && (line = next_line(&rest)) != NULL; id++) {
        line += strspn(line, " \t\r\v\f");
        size_t n = strlen(line);
        while (n > 0 && strchr(" \t\r\v\f", line[n - 1]))
            n--;
        line[n] = '\0';
        if (n > 0 && !tt_value_set(arena, map, line, tt_value_int(arena, id)))
            st = tt_err_nomem(err, n, path);
    }
    tt_buf_release(&bytes);
    if (st == TT_OK)
        *out = map;
    return st;
}

/* vocab.json or vocab.txt with merges.txt, as the tokenizer.json that they stand for: GPT-2's. */
static tt_status from_vocab(struct tt_value **out, struct tt_arena *arena, const char *vocab, const char *merges,
                            struct tt_err *err)
{
    static const char frame[] =
        "{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true},"
        " \"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\"}}";
    struct tt_value *root, *tokens;
    tt_status st = tt_json_parse(&root, arena, frame, strlen(frame), "the frame of a GPT-2 tokenizer", err);
    if (st == TT_OK)
        st = tt_has_suffix(vocab, ".txt") ? read_vocab_txt(&tokens, arena, vocab, err) : parse_file(&tokens, arena, vocab, err);
    if (st != TT_OK)
        return st;
    struct tt_value *list = tt_value_list(arena);
    if (!list)
        return tt_err_nomem(err, 0, merges);
    st = read_merges(list, arena, merges, err);
    if (st != TT_OK)
        return st;
    struct tt_value *model = tt_value_get(root, "model");
    if (!tt_value_set(arena, model, "vocab", tokens) || !tt_value_set(arena, model, "merges", list))
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
        return parse_file(out, arena, f->json, err);
    }
    const char *vocab = tt_path_exists(f->vocab_json) ? f->vocab_json : tt_path_exists(f->vocab_txt) ? f->vocab_txt : NULL;
    if (!vocab)
        return tt_err_set(err, TT_ENOENT,
                          "%s: found no tokenizer: expected tokenizer.json, or vocab.json or vocab.txt with merges.txt", dir);
    if (!tt_path_exists(f->merges))
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: a vocabulary of whole words (without %s) is not supported", vocab, f->merges);
    *path = vocab;
    return from_vocab(out, arena, vocab, f->merges, err);
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
    tok->source = path == f.json ? "tokenizer.json" : path == f.vocab_txt ? "vocab.txt + merges.txt" : "vocab.json + merges.txt";
    if (st == TT_OK)
        st = tt_tokenizer_read_json(tok, root, path, err);
    if (st == TT_OK && tt_path_exists(f.config))
        st = parse_file(&config, arena, f.config, err);
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
    tt_pretok_release(&tok->pretok);
    tt_bpe_free(tok->bpe);
    tt_tokens_release(&tok->prefix);
    tt_tokens_release(&tok->suffix);
    free(tok->no_decoder);
    free(tok);
}
