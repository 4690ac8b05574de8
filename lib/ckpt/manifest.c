#include "ckpt/manifest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/each.h"
#include "base/file.h"
#include "base/map.h"
#include "base/sha256.h"
#include "ckpt/show.h"

enum {
    MANIFEST_NBYTES_MAX = 1 << 28,
    READ_NBYTES = 1 << 20,
    DEPTH_MAX = 32, /* of folders in a checkpoint */
};

struct hashed {
    const char *name;  /* beginning as the path was given */
    const char *plain; /* see tt_manifest_line */
    uint64_t nbytes;
    char hex[65];
};

struct hashing {
    struct tt_arena arena;
    const struct tt_task *task;
    struct tt_task_meter meter;
    const char *manifest; /* left out where it lies in a checkpoint */
    struct hashed *files;
    size_t n, cap;
    uint8_t **bufs; /* (nthreads) of READ_NBYTES; NULL: not yet made */
    struct tt_err *err;
};

static tt_status nomem(const struct hashing *h) { return tt_err_nomem(h->err, h->arena.used, "the list of files"); }

/* "./a//b" and "a/b" are one name. */
static char *plain_name(struct tt_arena *arena, const char *name)
{
    char *plain = tt_arena_str(arena, name), *to = plain;

    for (const char *from = name; plain && *from;) {
        const bool at_start = to == plain || to[-1] == '/';
        if (at_start && from[0] == '.' && from[1] == '/')
            from += 2;
        else if (to != plain && to[-1] == '/' && *from == '/')
            from++;
        else
            *to++ = *from++;
    }
    if (plain)
        *to = 0;
    return plain;
}

/* --- which files -------------------------------------------------------------------------------------------------------------- */

static tt_status add_file(struct hashing *h, const char *name, uint64_t nbytes)
{
    if (h->n == h->cap) {
        const size_t cap = h->cap ? h->cap * 2 : 64;
        struct hashed *files = realloc(h->files, cap * sizeof *files);
        if (!files)
            return nomem(h);
        h->files = files;
        h->cap = cap;
    }
    struct hashed *file = &h->files[h->n];
    *file = (struct hashed){ .name = tt_arena_str(&h->arena, name), .plain = plain_name(&h->arena, name), .nbytes = nbytes };
    if (!file->name || !file->plain)
        return nomem(h);
    h->n++;
    h->meter.total += nbytes;
    return TT_OK;
}

static tt_status add_path(struct hashing *h, const char *path, int depth);

static tt_status add_folder(struct hashing *h, const char *path, int depth)
{
    char **names = NULL;
    size_t n = 0;
    tt_status st = tt_dir_list(&h->arena, path, &names, &n, h->err);

    if (st == TT_OK && depth > DEPTH_MAX)
        st = tt_err_set(h->err, TT_EUNSUPPORTED, "%s: folders nested deeper than %d", path, DEPTH_MAX);
    for (size_t i = 0; i < n && st == TT_OK; i++) {
        const char *inside = tt_path_join(&h->arena, path, names[i]);
        if (!inside)
            return nomem(h);
        if (tt_path_is_dir(inside) && tt_path_is_link(inside))
            continue;
        st = add_path(h, inside, depth + 1);
    }
    return st;
}

static tt_status add_path(struct hashing *h, const char *path, int depth)
{
    struct stat there;

    if (tt_path_is_dir(path))
        return add_folder(h, path, depth);
    if (h->manifest && tt_path_same(path, h->manifest))
        return TT_OK;
    const bool known = stat(path, &there) == 0;
    return add_file(h, path, known ? (uint64_t)there.st_size : 0);
}

/* --- their digests ------------------------------------------------------------------------------------------------------------ */

static void put_hex(char hex[65], const uint8_t digest[TT_SHA256_NBYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < TT_SHA256_NBYTES; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[64] = 0;
}

static tt_status hash_file(void *ctx, int64_t i, int thread, struct tt_err *err)
{
    struct hashing *h = ctx;
    struct hashed *file = &h->files[i];
    struct tt_infile in = { .fd = -1 };
    struct tt_sha256 sha = tt_sha256_begin();
    uint8_t digest[TT_SHA256_NBYTES];

    if (!h->bufs[thread] && !(h->bufs[thread] = malloc(READ_NBYTES)))
        return tt_err_nomem(err, READ_NBYTES, "a buffer");
    tt_status st = tt_infile_open(&in, file->name, err);
    for (uint64_t at = 0, n; st == TT_OK && at < in.nbytes; at += n) {
        n = in.nbytes - at < READ_NBYTES ? in.nbytes - at : READ_NBYTES;
        st = tt_infile_pread(&in, h->bufs[thread], (size_t)n, at, err);
        if (st == TT_OK)
            tt_sha256_add(&sha, h->bufs[thread], (size_t)n);
        tt_task_done(&h->meter, n);
    }
    tt_infile_close(&in);
    tt_sha256_end(&sha, digest);
    if (st == TT_OK)
        put_hex(file->hex, digest);
    return st;
}

/* The largest first, so that the last thread is not left with one of them. */
static int by_size(const void *a, const void *b)
{
    const struct hashed *x = a, *y = b;
    return x->nbytes != y->nbytes ? (x->nbytes > y->nbytes ? -1 : 1) : strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b) { return strcmp(((const struct hashed *)a)->name, ((const struct hashed *)b)->name); }

/* All files of the paths, by name. */
static tt_status hash_all(struct hashing *h, const char *const *paths, size_t npaths)
{
    const int nthreads = tt_pool_nthreads(h->task->pool);
    tt_status st = TT_OK;

    h->bufs = calloc((size_t)nthreads, sizeof(uint8_t *));
    if (!h->bufs)
        return tt_err_nomem(h->err, (size_t)nthreads * sizeof(uint8_t *), "threads");
    for (size_t i = 0; i < npaths && st == TT_OK; i++)
        st = add_path(h, paths[i], 0);
    if (st == TT_OK && h->n) {
        qsort(h->files, h->n, sizeof *h->files, by_size);
        st = tt_each(h->task->pool, (int64_t)h->n, hash_file, h, h->err);
        qsort(h->files, h->n, sizeof *h->files, by_name);
    }
    for (int i = 0; i < nthreads; i++)
        free(h->bufs[i]);
    free(h->bufs);
    tt_task_clear(h->task);
    return st;
}

static void hashing_release(struct hashing *h)
{
    free(h->files);
    tt_arena_release(&h->arena);
}

/* --- writing ------------------------------------------------------------------------------------------------------------------ */

static void put_line(struct tt_buf *out, const struct hashed *file)
{
    const bool escaped = strpbrk(file->name, "\\\n\r") != NULL;

    tt_buf_printf(out, "%s%s  ", escaped ? "\\" : "", file->hex);
    for (const char *p = file->name; *p; p++) {
        if (escaped && (*p == '\\' || *p == '\n' || *p == '\r'))
            tt_buf_printf(out, "\\%c", *p == '\n' ? 'n' : *p == '\r' ? 'r' : '\\');
        else
            tt_buf_byte(out, (uint8_t)*p);
    }
    tt_buf_byte(out, '\n');
}

tt_status tt_manifest_write(const char *file, const char *const *paths, size_t npaths, const struct tt_task *task, struct tt_err *err)
{
    const bool is_stdout = strcmp(file, "-") == 0;
    struct hashing h = { .task = task, .meter = { .task = task }, .manifest = is_stdout ? NULL : file, .err = err };
    struct tt_buf text = { 0 };
    tt_status st = hash_all(&h, paths, npaths);

    for (size_t i = 0; i < h.n && st == TT_OK; i++)
        if (i == 0 || strcmp(h.files[i].name, h.files[i - 1].name) != 0) /* a path that was given twice */
            put_line(&text, &h.files[i]);
    if (st == TT_OK && is_stdout)
        st = tt_show_write(stdout, &text, err);
    else if (st == TT_OK) {
        st = tt_buf_check(&text, "a manifest", err);
        if (st == TT_OK)
            st = tt_file_write_all(file, text.data, text.len, err);
    }
    tt_buf_release(&text);
    hashing_release(&h);
    return st;
}

/* --- checking ----------------------------------------------------------------------------------------------------------------- */

/* Takes the escapes back; false where there are others. */
static bool unescape(char *name)
{
    char *to = name;
    for (const char *from = name; *from; from++) {
        if (*from != '\\') {
            *to++ = *from;
            continue;
        }
        from++;
        if (*from != '\\' && *from != 'n' && *from != 'r')
            return false;
        *to++ = (char)(*from == 'n' ? '\n' : *from == 'r' ? '\r' : '\\');
    }
    *to = 0;
    return true;
}

/* [\]64 hex digits, a blank, a blank or *, the name. */
static bool parse_line(struct tt_manifest_line *line, struct tt_arena *arena, const char *s, size_t n)
{
    const bool escaped = n && s[0] == '\\';

    s += escaped;
    n -= escaped;
    if (n < 67 || s[64] != ' ' || (s[65] != ' ' && s[65] != '*') || memchr(s, 0, n))
        return false;
    for (int i = 0; i < 64; i++) {
        const char c = s[i];
        const bool upper = c >= 'A' && c <= 'F';
        if (!upper && !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        line->hex[i] = (char)(upper ? c - 'A' + 'a' : c);
    }
    char *name = tt_arena_strn(arena, s + 66, n - 66);
    if (!name || (escaped && !unescape(name)))
        return false;
    line->name = name;
    line->plain = plain_name(arena, name);
    return line->plain != NULL;
}

tt_status tt_manifest_parse(struct tt_manifest_line **lines, size_t *n, struct tt_arena *arena, const char *text, size_t nbytes,
                            const char *where, struct tt_err *err)
{
    size_t count = 0, k = 0;

    for (size_t i = 0; i < nbytes; i++)
        count += text[i] == '\n';
    struct tt_manifest_line *all = tt_arena_array(arena, count + 1, sizeof *all);
    if (!all)
        return tt_err_nomem(err, count * sizeof *all, where);
    for (size_t at = 0; at < nbytes;) {
        const char *end = memchr(text + at, '\n', nbytes - at);
        const size_t length = end ? (size_t)(end - text) - at : nbytes - at;
        if (!parse_line(&all[k++], arena, text + at, length))
            return tt_err_set(err, TT_EFORMAT, "%s:%zu: expected 64 hex digits, two blanks and the name of a file", where, k);
        at += length + 1;
    }
    *lines = all;
    *n = k;
    return TT_OK;
}

struct checking {
    struct hashing *h;
    const struct tt_manifest_line *lines;
    size_t nlines;
    struct tt_map by_name; /* from a line's plain name to it */
    bool *seen;            /* (nlines) */
    struct tt_buf text;
    size_t nwrong;
    struct tt_err *err;
};

static void wrong(struct checking *c, const char *name, const char *what)
{
    tt_show_line(&c->text, name);
    tt_buf_printf(&c->text, ": %s\n", what);
    c->nwrong++;
}

static tt_status index_lines(struct checking *c, const char *where)
{
    tt_status st = TT_OK;

    c->seen = calloc(c->nlines + 1, sizeof *c->seen);
    if (!c->seen)
        return tt_err_nomem(c->err, c->nlines, where);
    for (size_t i = 0; i < c->nlines && st == TT_OK; i++) {
        uint64_t old = 0;
        bool added = false;
        st = tt_map_put(&c->by_name, c->lines[i].plain, strlen(c->lines[i].plain), i, &added, &old, c->err);
        if (st == TT_OK && !added && strcmp(c->lines[i].hex, c->lines[old].hex) != 0)
            st = tt_err_set(c->err, TT_EFORMAT, "%s:%zu: %s has another sum in line %zu", where, i + 1, c->lines[i].name,
                            (size_t)old + 1);
        c->seen[i] = !added;
    }
    return st;
}

/* Whether a name lies below the path, or is it. */
static bool is_below(const char *plain, const char *path)
{
    const size_t n = strlen(path);
    if (n == 0 || strcmp(path, ".") == 0)
        return plain[0] != '/';
    return strncmp(plain, path, n) == 0 && (plain[n] == 0 || plain[n] == '/' || path[n - 1] == '/');
}

/* Lines of what was there when the manifest was made. */
static tt_status check_lines(struct checking *c, const char *const *paths, size_t npaths)
{
    for (size_t p = 0; p < npaths; p++) {
        char *path = plain_name(&c->h->arena, paths[p]);
        size_t n = path ? strlen(path) : 0;
        if (!path)
            return nomem(c->h);
        while (n > 1 && path[n - 1] == '/')
            path[--n] = 0;
        for (size_t i = 0; i < c->nlines; i++) {
            if (!is_below(c->lines[i].plain, path))
                continue;
            if (!c->seen[i])
                wrong(c, c->lines[i].name, "is in the manifest, but not there");
            c->seen[i] = true;
        }
    }
    return TT_OK;
}

/* Returns how many of the files are in the manifest. */
static size_t check_files(struct checking *c)
{
    size_t known = 0;

    for (size_t i = 0; i < c->h->n; i++) {
        const struct hashed *file = &c->h->files[i];
        uint64_t k;
        if (!tt_map_get(&c->by_name, file->plain, strlen(file->plain), &k)) {
            wrong(c, file->name, "is not in the manifest");
            continue;
        }
        known++;
        c->seen[k] = true;
        if (strcmp(file->hex, c->lines[k].hex) != 0)
            wrong(c, file->name, "has another SHA-256 than in the manifest");
    }
    return known;
}

tt_status tt_manifest_check(FILE *out, const char *file, const char *const *paths, size_t npaths, const struct tt_task *task, bool *good,
                            struct tt_err *err)
{
    const char *where = strcmp(file, "-") == 0 ? "stdin" : file;
    struct hashing h = { .task = task, .meter = { .task = task }, .manifest = file, .err = err };
    struct checking c = { .h = &h, .err = err };
    struct tt_manifest_line *lines = NULL;
    struct tt_buf bytes = { 0 };
    tt_status st = tt_file_read_all(&bytes, file, MANIFEST_NBYTES_MAX, err);

    if (st == TT_OK)
        st = tt_manifest_parse(&lines, &c.nlines, &h.arena, (const char *)bytes.data, bytes.len, where, err);
    c.lines = lines;
    if (st == TT_OK)
        st = index_lines(&c, where);
    if (st == TT_OK)
        st = hash_all(&h, paths, npaths);
    if (st == TT_OK) {
        if (check_files(&c) == 0 && h.n)
            st = tt_err_set(err, TT_EINVAL, "%s: it has none of the files of %s; names are checked as they were given when it was made",
                            where, paths[0]);
        else
            st = check_lines(&c, paths, npaths);
    }
    if (st == TT_OK) {
        if (c.nwrong)
            tt_buf_printf(&c.text, "%zu thing%s wrong; %zu files, %" PRIu64 " bytes\n", c.nwrong, c.nwrong == 1 ? " is" : "s are", h.n,
                          h.meter.total);
        else
            tt_buf_printf(&c.text, "good: %zu files, %" PRIu64 " bytes\n", h.n, h.meter.total);
        st = tt_show_write(out, &c.text, err);
    }
    if (st == TT_OK)
        *good = c.nwrong == 0;
    free(c.seen);
    tt_map_release(&c.by_name);
    tt_buf_release(&c.text);
    tt_buf_release(&bytes);
    hashing_release(&h);
    return st;
}
