#include "data/text.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "data/files.h"
#include "data/jsonl.h"
#include "data/samples.h"

enum { MARK_EVERY = 256 }; /* samples between two remembered places */

struct file {
    const char *path;
    int64_t nsamples;
    struct tt_samples_mark *marks; /* one for every MARK_EVERY samples; where there can be none, the file is read from its start */
    size_t nmarks, cap;
};

struct tt_text {
    struct tt_arena arena;
    struct file *files;
    size_t nfiles;
    int64_t count; /* -1: a pipe */

    struct tt_samples *samples; /* of files[file]; NULL: none open */
    size_t file;
    int64_t next; /* index of the sample that comes next */
    struct tt_buf sample;
};

/* --- counting ---------------------------------------------------------------------------------------------------------- */

static tt_status add_mark(struct file *f, struct tt_samples_mark mark, struct tt_err *err)
{
    if (f->nmarks == f->cap) {
        const size_t cap = f->cap ? 2 * f->cap : 16;
        struct tt_samples_mark *bigger = realloc(f->marks, cap * sizeof *bigger);
        if (!bigger)
            return tt_err_nomem(err, cap * sizeof *bigger, "places in a file");
        f->marks = bigger;
        f->cap = cap;
    }
    f->marks[f->nmarks++] = mark;
    return TT_OK;
}

static tt_status count_file(struct file *f, struct tt_err *err)
{
    struct tt_samples *samples = NULL;
    tt_status st = tt_samples_open(&samples, f->path, err);
    while (st == TT_OK) {
        const char *json;
        size_t n;
        struct tt_samples_mark mark;
        const bool seekable = tt_samples_mark(samples, &mark);
        st = tt_samples_next(samples, &json, &n, err);
        if (st != TT_OK || !json)
            break;
        if (seekable && f->nsamples % MARK_EVERY == 0 && (st = add_mark(f, mark, err)) != TT_OK)
            break;
        f->nsamples++;
    }
    tt_samples_close(samples);
    return st;
}

/* --- opening ----------------------------------------------------------------------------------------------------------- */

static tt_status list_files(struct tt_text *t, const char *path, const char *config, const char *split, struct tt_err *err)
{
    struct tt_data_files files;
    const tt_status st = tt_data_files(&files, &t->arena, path, config, split, err);
    if (st != TT_OK)
        return st;
    t->files = tt_arena_array(&t->arena, files.n, sizeof *t->files);
    if (!t->files)
        return tt_err_nomem(err, files.n * sizeof *t->files, "files");
    for (size_t i = 0; i < files.n; i++)
        t->files[i].path = files.paths[i];
    t->nfiles = files.n;
    return TT_OK;
}

static tt_status count_all(struct tt_text *t, const char *path, struct tt_err *err)
{
    for (size_t i = 0; i < t->nfiles; i++) {
        const tt_status st = count_file(&t->files[i], err);
        if (st != TT_OK)
            return st;
        t->count += t->files[i].nsamples;
    }
    return t->count > 0 ? TT_OK : tt_err_set(err, TT_EFORMAT, "%s: no samples in it", path);
}

tt_status tt_text_open(struct tt_text **out, const char *path, const char *config, const char *split, struct tt_err *err)
{
    struct tt_text *t = calloc(1, sizeof *t);
    if (!t)
        return tt_err_nomem(err, sizeof *t, "a source of text");
    tt_status st = list_files(t, path, config, split, err);
    if (st == TT_OK && strcmp(path, "-") == 0) {
        t->count = -1;
        st = tt_samples_open(&t->samples, path, err);
    } else if (st == TT_OK) {
        st = count_all(t, path, err);
    }
    if (st != TT_OK) {
        tt_text_free(t);
        return st;
    }
    *out = t;
    return TT_OK;
}

void tt_text_free(struct tt_text *t)
{
    if (!t)
        return;
    tt_samples_close(t->samples);
    for (size_t i = 0; i < t->nfiles; i++)
        free(t->files[i].marks);
    tt_buf_release(&t->sample);
    tt_arena_release(&t->arena);
    free(t);
}

int64_t tt_text_count(const struct tt_text *t) { return t->count; }

/* --- moving ------------------------------------------------------------------------------------------------------------ */

static tt_status open_file(struct tt_text *t, size_t file, struct tt_err *err)
{
    tt_samples_close(t->samples);
    t->samples = NULL;
    t->file = file;
    return tt_samples_open(&t->samples, t->files[file].path, err);
}

static tt_status skip(struct tt_text *t, int64_t n, struct tt_err *err)
{
    for (; n > 0; n--, t->next++) {
        const char *json;
        size_t nbytes;
        const tt_status st = tt_samples_next(t->samples, &json, &nbytes, err);
        if (st != TT_OK)
            return st;
        if (!json)
            return tt_err_set(err, TT_EFORMAT, "%s: ends before sample %lld: it is shorter than it was", t->files[t->file].path,
                              (long long)t->next);
    }
    return TT_OK;
}

static tt_status seek_file(struct tt_text *t, int64_t index, struct tt_err *err)
{
    size_t i = 0;
    int64_t first = 0;
    for (; i < t->nfiles - 1 && index >= first + t->files[i].nsamples; i++)
        first += t->files[i].nsamples;
    tt_status st = open_file(t, i, err);
    if (st != TT_OK)
        return st;
    const struct file *f = &t->files[i];
    t->next = first;
    if (f->nmarks > 0) {
        size_t m = (size_t)(index - first) / MARK_EVERY;
        if (m >= f->nmarks)
            m = f->nmarks - 1;
        st = tt_samples_seek(t->samples, f->marks[m], err);
        t->next = first + (int64_t)m * MARK_EVERY;
    }
    return st == TT_OK ? skip(t, index - t->next, err) : st;
}

tt_status tt_text_seek(struct tt_text *t, int64_t index, struct tt_err *err)
{
    if (index < 0 || (t->count >= 0 && index > t->count))
        return tt_err_set(err, TT_EINVAL, "sample %lld of %lld", (long long)index, (long long)t->count);
    if (t->count < 0 && index < t->next)
        return tt_err_set(err, TT_EINVAL, "a pipe does not go back (to sample %lld from %lld)", (long long)index,
                          (long long)t->next);
    if (index == t->next && t->samples)
        return TT_OK;
    return t->count < 0 ? skip(t, index - t->next, err) : seek_file(t, index, err);
}

tt_status tt_text_next(struct tt_text *t, const char **sample, size_t *nbytes, struct tt_err *err)
{
    tt_status st = t->samples ? TT_OK : open_file(t, 0, err);
    while (st == TT_OK) {
        const char *json;
        size_t n;
        st = tt_samples_next(t->samples, &json, &n, err);
        if (st != TT_OK)
            break;
        if (json) {
            st = tt_samples_text(&t->sample, t->samples, json, n, err);
            if (st != TT_OK)
                break;
            t->next++;
            *sample = (const char *)t->sample.data;
            *nbytes = t->sample.len;
            return TT_OK;
        }
        if (t->file + 1 >= t->nfiles) {
            *sample = NULL;
            *nbytes = 0;
            return TT_OK;
        }
        st = open_file(t, t->file + 1, err);
    }
    return st;
}
