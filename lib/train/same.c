#include "train/same.h"

#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/sha256.h"
#include "data/files.h"
#include "data/loader.h"

enum { SAMPLE = 4096, PROGRAM_MAX = 1 << 30, TOKENIZER_MAX = 512 << 20 }; /* bytes */

/* --- what a rank has: a line each, "NAME\tVALUE\n" ------------------------------------------------------------------------------ */

static void put_digest(struct tt_buf *out, struct tt_sha256 *sha)
{
    uint8_t digest[TT_SHA256_NBYTES];
    tt_sha256_end(sha, digest);
    for (size_t i = 0; i < 8; i++)
        tt_buf_printf(out, "%02x", digest[i]);
}

/* By its size and all of its bytes. */
static tt_status put_file(struct tt_buf *out, const char *name, const char *path, size_t max_nbytes, struct tt_err *err)
{
    struct tt_buf bytes = { 0 };
    struct tt_sha256 sha = tt_sha256_begin();
    const tt_status st = tt_file_read_all(&bytes, path, max_nbytes, err);

    if (st == TT_OK) {
        tt_sha256_add(&sha, bytes.data, bytes.len);
        tt_buf_printf(out, "%s\t%zu bytes, sha256 ", name, bytes.len);
        put_digest(out, &sha);
        tt_buf_byte(out, '\n');
    }
    tt_buf_release(&bytes);
    return st;
}

/* By its size, and its first and last bytes. */
static tt_status put_sample(struct tt_buf *out, const char *path, struct tt_err *err)
{
    uint8_t bytes[2 * SAMPLE];
    struct tt_sha256 sha = tt_sha256_begin();
    struct tt_infile in = { .fd = -1 };
    tt_status st = tt_infile_open(&in, path, err);

    if (st != TT_OK)
        return st;
    const size_t n = in.nbytes < SAMPLE ? (size_t)in.nbytes : SAMPLE;
    st = tt_infile_pread(&in, bytes, n, 0, err);
    if (st == TT_OK)
        st = tt_infile_pread(&in, bytes + n, n, in.nbytes - n, err);
    if (st == TT_OK) {
        tt_sha256_add(&sha, bytes, 2 * n);
        tt_buf_printf(out, "%s\t%" PRIu64 " bytes, sha256 of its ends ", path, in.nbytes);
        put_digest(out, &sha);
        tt_buf_byte(out, '\n');
    }
    tt_infile_close(&in);
    return st;
}

/* What cannot be read is an error of who opens it; here it only has to be the same. */
static void put_dataset(struct tt_buf *out, const char *section, const char *name, const char *dataset_path)
{
    const struct tt_dataset *dataset = tt_dataset_find(name);
    struct tt_arena arena = { 0 };
    struct tt_data_files files = { 0 };
    struct tt_err why;
    const char *path = "";
    tt_status st = tt_dataset_path(&path, section, name, dataset_path, &why);

    if (st == TT_OK && strcmp(path, "-") != 0)
        st = tt_data_files(&files, &arena, path, dataset->config, dataset->split, &why);
    for (size_t i = 0; st == TT_OK && i < files.n; i++)
        st = put_sample(out, files.paths[i], &why);
    if (st != TT_OK)
        tt_buf_printf(out, "the data %s\tunreadable (%s)\n", path, why.msg);
    tt_arena_release(&arena);
}

static tt_status put_tokenizer(struct tt_buf *out, const char *folder, struct tt_err *err)
{
    static const char *const names[] = { "tokenizer.json", "vocab.json", "vocab.txt", "merges.txt", "tokenizer_config.json" };
    struct tt_arena arena = { 0 };
    tt_status st = TT_OK;

    for (size_t i = 0; st == TT_OK && i < sizeof names / sizeof *names; i++) {
        const char *path = tt_path_join(&arena, folder, names[i]);
        if (!path)
            st = tt_err_nomem(err, strlen(folder), "a path");
        else if (tt_path_exists(path))
            st = put_file(out, path, path, TOKENIZER_MAX, err);
        else
            tt_buf_printf(out, "%s\tnot there\n", path);
    }
    tt_arena_release(&arena);
    return st;
}

/* JSON that is indented, with names of its own before those in it. */
static void put_json(struct tt_buf *out, const char *what, struct tt_buf *json)
{
    for (const char *line = tt_buf_cstr(json), *end; *line; line = *end ? end + 1 : end) {
        end = line + strcspn(line, "\n");
        line += strspn(line, " ");
        const char *colon = strstr(line, ": ");
        const int n = (int)(end - line), key = colon && colon < end ? (int)(colon - line) : 0;
        if (key > 0)
            tt_buf_printf(out, "%s %.*s\t%.*s\n", what, key, line, n - key - 2 - (line[n - 1] == ','), colon + 2);
        else
            tt_buf_printf(out, "%s\t%.*s\n", what, n, line);
    }
}

static tt_status put_model(struct tt_buf *out, const struct tt_ranks *r, const struct tt_config *config, struct tt_err *err)
{
    struct tt_buf json = { 0 };
    const tt_status st = tt_model_args_json(&json, config->model.name, &r->job.args, err);
    if (st == TT_OK)
        put_json(out, "the model's", &json);
    tt_buf_release(&json);
    return st;
}

static tt_status put_all(struct tt_buf *out, const struct tt_ranks *r, const struct tt_config *config, struct tt_err *err)
{
    struct tt_config common = *config;

    tt_ranks_write_nothing(&common);
    tt_status st = tt_config_lines(out, &common, err);
    if (st == TT_OK)
        st = put_file(out, "the program", "/proc/self/exe", PROGRAM_MAX, err);
    if (st == TT_OK)
        st = put_model(out, r, config, err);
    if (st == TT_OK)
        st = put_tokenizer(out, config->model.hf_assets_path, err);
    if (st != TT_OK)
        return st;
    put_dataset(out, "training", config->training.dataset, config->training.dataset_path);
    if (config->validation.enable)
        put_dataset(out, "validation", config->validation.dataset, config->validation.dataset_path);
    return tt_buf_check(out, "what this rank works on", err);
}

/* --- the comparison --------------------------------------------------------------------------------------------------------------- */

static int length(const char *s, const char *ends) { return (int)strcspn(s, ends); }

static tt_status compare(const char *mine, const char *first, struct tt_err *err)
{
    while (*mine && length(mine, "\n") == length(first, "\n") && strncmp(mine, first, (size_t)length(mine, "\n")) == 0) {
        mine += length(mine, "\n") + 1;
        first += length(first, "\n") + 1;
    }
    if (!*mine && !*first)
        return TT_OK;
    const int a = length(mine, "\t"), b = length(first, "\t");
    if (a == b && strncmp(mine, first, (size_t)a) == 0)
        return tt_err_set(err, TT_EINVAL, "%.*s: %.*s, where rank 0 has %.*s; all ranks of a run have to have the same", a, mine,
                          length(mine + a + 1, "\n"), mine + a + 1, length(first + b + 1, "\n"), first + b + 1);
    return tt_err_set(err, TT_EINVAL, "%.*s, where rank 0 has %.*s; all ranks of a run have to have the same", *mine ? a : 7,
                      *mine ? mine : "nothing", *first ? b : 7, *first ? first : "nothing");
}

tt_status tt_same_check(const struct tt_ranks *r, const struct tt_config *config, struct tt_err *err)
{
    struct tt_buf mine = { 0 }, first = { 0 };
    uint64_t nbytes = 0;

    if (r->world->size == 1 || config->comm.mode != TT_COMM_DEFAULT)
        return TT_OK;
    tt_status st = tt_ranks_agree(r, put_all(&mine, r, config, err), err);
    if (st == TT_OK) {
        nbytes = mine.len;
        st = tt_ranks_broadcast(r, &nbytes, sizeof nbytes, err);
    }
    if (st == TT_OK && tt_ranks_is_first(r))
        tt_buf_put(&first, mine.data, mine.len);
    else if (st == TT_OK && tt_buf_reserve(&first, nbytes))
        first.len = nbytes;
    if (st == TT_OK)
        st = tt_ranks_agree(r, tt_buf_check(&first, "what rank 0 works on", err), err);
    if (st == TT_OK)
        st = tt_ranks_broadcast(r, first.data, nbytes, err);
    if (st == TT_OK)
        st = tt_ranks_agree(r, compare(tt_buf_cstr(&mine), tt_buf_cstr(&first), err), err);
    tt_buf_release(&mine);
    tt_buf_release(&first);
    return st;
}
