#define _GNU_SOURCE
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

tt_status tt_infile_open(struct tt_infile *in, const char *path, struct tt_err *err)
{
    struct stat st;
    /* O_NONBLOCK so that a FIFO is refused below instead of waiting for a writer. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        const int e = errno;
        const tt_status status = tt_err_errno(err, e, "%s: cannot open", path);
        errno = e;
        return status;
    }
    if (fstat(fd, &st) != 0) {
        const int e = errno;
        close(fd);
        return tt_err_errno(err, e, "%s: cannot stat", path);
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return tt_err_set(err, TT_EIO, "%s: expected a regular file, found %s", path,
                          S_ISDIR(st.st_mode) ? "a folder" : "something else");
    }
    char *copy = strdup(path);
    if (!copy) {
        close(fd);
        return tt_err_nomem(err, strlen(path) + 1, "a path");
    }
    *in = (struct tt_infile){ .fd = fd, .nbytes = (uint64_t)st.st_size, .path = copy };
    return TT_OK;
}

void tt_infile_close(struct tt_infile *in)
{
    if (!in || !in->path)
        return;
    close(in->fd);
    free(in->path);
    *in = (struct tt_infile){ .fd = -1 };
}

void *tt_io_buffer(size_t nbytes)
{
    enum { PAGE = 4096 };
    return nbytes > SIZE_MAX - PAGE ? NULL : aligned_alloc(PAGE, (nbytes + PAGE - 1) / PAGE * PAGE);
}

void *tt_io_buffer_once(uint8_t **buf, size_t nbytes)
{
    if (!*buf)
        *buf = tt_io_buffer(nbytes);
    return *buf;
}

tt_status tt_infile_pread(const struct tt_infile *in, void *dst, size_t nbytes, uint64_t offset, struct tt_err *err)
{
    for (size_t done = 0; done < nbytes;) {
        const ssize_t n = pread(in->fd, (char *)dst + done, nbytes - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return tt_err_errno(err, errno, "%s: offset %llu: cannot read", in->path, (unsigned long long)(offset + done));
        if (n == 0)
            return tt_err_set(err, TT_EFORMAT, "%s: offset %llu: expected %zu more bytes, found the end of the file", in->path,
                              (unsigned long long)(offset + done), nbytes - done);
        done += (size_t)n;
    }
    return TT_OK;
}

bool tt_infile_pread_cached(const struct tt_infile *in, void *dst, size_t nbytes, uint64_t offset)
{
    const struct iovec all = { .iov_base = dst, .iov_len = nbytes };
    return preadv2(in->fd, &all, 1, (off_t)offset, RWF_NOWAIT) == (ssize_t)nbytes;
}

tt_status tt_file_read_all(struct tt_buf *out, const char *path, size_t max_nbytes, struct tt_err *err)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    struct tt_infile in = { .fd = -1 };
    struct tt_buf buf = { 0 };
    tt_status st = is_stdin ? TT_OK : tt_infile_open(&in, path, err);

    while (st == TT_OK) {
        uint8_t *p = tt_buf_reserve(&buf, 1 << 16);
        if (!p) {
            st = tt_err_nomem(err, buf.cap, path);
            break;
        }
        const ssize_t n = read(is_stdin ? STDIN_FILENO : in.fd, p, buf.cap - buf.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            st = tt_err_errno(err, errno, "%s: cannot read", is_stdin ? "stdin" : path);
        if (n <= 0)
            break;
        buf.len += (size_t)n;
        if (buf.len > max_nbytes)
            st = tt_err_set(err, TT_EFORMAT, "%s: expected at most %zu bytes, found more", path, max_nbytes);
    }
    tt_infile_close(&in);
    if (st != TT_OK)
        tt_buf_release(&buf);
    else
        *out = buf;
    return st;
}

tt_status tt_pwrite_full(int fd, const void *src, size_t nbytes, uint64_t offset, const char *path, struct tt_err *err)
{
    for (size_t done = 0; done < nbytes;) {
        const ssize_t n = pwrite(fd, (const char *)src + done, nbytes - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return tt_err_errno(err, n < 0 ? errno : EIO, "%s: offset %llu: cannot write", path,
                                (unsigned long long)(offset + done));
        done += (size_t)n;
    }
    return TT_OK;
}

tt_status tt_write_full(int fd, const void *src, size_t nbytes, const char *path, struct tt_err *err)
{
    for (size_t done = 0; done < nbytes;) {
        const ssize_t n = write(fd, (const char *)src + done, nbytes - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return tt_err_errno(err, n < 0 ? errno : EIO, "%s: cannot write", path);
        done += (size_t)n;
    }
    return TT_OK;
}

/* A name that nobody else uses, beside the final one so that the rename stays within a file system; the file is locked for as long as
 * this process has it open, which tells those who clear up that it lives. *made is false where one of them was faster. */
static tt_status make_tmp(struct tt_outfile *o, bool *made, struct tt_err *err)
{
    const char *base = tt_path_base(o->path);
    struct stat here;
    uint64_t random;

    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return tt_err_errno(err, errno, "%s: cannot draw a random name", o->path);
    free(o->tmp);
    o->tmp = NULL;
    if (asprintf(&o->tmp, "%.*s" TT_TMP_PREFIX "%016llx" TT_TMP_SUFFIX, (int)(base - o->path), o->path, (unsigned long long)random) < 0) {
        o->tmp = NULL;
        return tt_err_nomem(err, strlen(o->path) + 1, "a path");
    }
    o->fd = open(o->tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (o->fd < 0)
        return tt_err_errno(err, errno, "%s: cannot create", o->tmp);
    (void)flock(o->fd, LOCK_EX | LOCK_NB); /* where there are no locks nobody clears up */
    *made = fstat(o->fd, &here) == 0 && here.st_nlink > 0;
    if (!*made) {
        close(o->fd);
        o->fd = -1;
    }
    return TT_OK;
}

tt_status tt_outfile_open(struct tt_outfile *out, const char *path, struct tt_err *err)
{
    enum { TRIES = 10 };
    struct tt_outfile o = { .fd = -1, .path = strdup(path) };
    struct stat there;
    bool made = false;
    tt_status st = o.path ? TT_OK : tt_err_nomem(err, strlen(path) + 1, "a path");

    if (st == TT_OK && stat(path, &there) == 0 && !S_ISREG(there.st_mode))
        st = tt_err_set(err, TT_EIO, "%s: expected a regular file or none, found %s", path,
                        S_ISDIR(there.st_mode) ? "a folder" : "something else");
    for (int i = 0; i < TRIES && st == TT_OK && !made; i++)
        st = make_tmp(&o, &made, err);
    if (st == TT_OK && !made)
        st = tt_err_set(err, TT_EIO, "%s: cannot make a temporary file of its own", path);
    if (st == TT_OK) {
        *out = o;
        return TT_OK;
    }
    free(o.path);
    free(o.tmp);
    return st;
}

int tt_rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
        return -1;
    return link(from, to) == 0 ? unlink(from) : -1; /* a file system without that flag */
}

tt_status tt_outfile_commit(struct tt_outfile *out, struct tt_err *err)
{
    tt_status st = TT_OK;

    if (fsync(out->fd) != 0)
        st = tt_err_errno(err, errno, "%s: cannot fsync", out->tmp);
    if (close(out->fd) != 0 && st == TT_OK)
        st = tt_err_errno(err, errno, "%s: cannot close", out->tmp);
    out->fd = -1;
    if (st == TT_OK && (out->no_replace ? tt_rename_new(out->tmp, out->path) : rename(out->tmp, out->path)) != 0)
        st = tt_err_errno(err, errno, "%s: cannot rename to %s", out->tmp, out->path);
    if (st != TT_OK) {
        tt_outfile_abandon(out);
        return st;
    }
    struct tt_arena arena = { 0 };
    const char *dir = tt_path_dir(&arena, out->path);
    st = dir ? tt_fsync_dir(dir, err) : tt_err_nomem(err, strlen(out->path), "a path");
    tt_arena_release(&arena);
    free(out->path);
    free(out->tmp);
    *out = (struct tt_outfile){ .fd = -1 };
    return st;
}

void tt_outfile_abandon(struct tt_outfile *out)
{
    if (!out || !out->path)
        return;
    if (out->fd >= 0)
        close(out->fd);
    unlink(out->tmp);
    free(out->path);
    free(out->tmp);
    *out = (struct tt_outfile){ .fd = -1 };
}

tt_status tt_file_write_all(const char *path, const void *bytes, size_t nbytes, struct tt_err *err)
{
    struct tt_outfile out = { .fd = -1 };
    tt_status st = tt_outfile_open(&out, path, err);

    if (st == TT_OK)
        st = tt_write_full(out.fd, bytes, nbytes, path, err);
    if (st == TT_OK)
        return tt_outfile_commit(&out, err);
    tt_outfile_abandon(&out);
    return st;
}

bool tt_path_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool tt_path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool tt_path_same(const char *a, const char *b)
{
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

bool tt_path_is_link(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

tt_status tt_mkdir_p(const char *path, struct tt_err *err)
{
    char *copy = strdup(path);
    tt_status st = copy ? TT_OK : tt_err_nomem(err, strlen(path) + 1, "a path");

    for (char *p = copy; st == TT_OK && p && *p;) {
        char *slash = strchr(p + 1, '/');
        if (slash)
            *slash = 0;
        const int e = mkdir(copy, 0777) != 0 ? errno : 0;
        if (e && !tt_path_is_dir(copy)) /* of one that is there some systems say EROFS or EACCES, not EEXIST */
            st = tt_err_errno(err, e, "%s: cannot make the folder", copy);
        if (slash)
            *slash = '/';
        p = slash;
    }
    free(copy);
    return st;
}

tt_status tt_fsync_dir(const char *path, struct tt_err *err)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return tt_err_errno(err, errno, "%s: cannot open the folder", path);
    /* Some file systems have no fsync of folders and say EINVAL: there is nothing more to do there. */
    const int rc = fsync(fd) != 0 && errno != EINVAL ? errno : 0;
    close(fd);
    return rc ? tt_err_errno(err, rc, "%s: cannot fsync the folder", path) : TT_OK;
}

static tt_status remove_below(int dirfd, const char *name, const char *path, int depth, struct tt_err *err)
{
    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return TT_OK;
    if (errno != EISDIR && errno != EPERM)
        return tt_err_errno(err, errno, "%s: cannot remove", path);
    if (depth > 64)
        return tt_err_set(err, TT_EIO, "%s: cannot remove: folders are nested too deep", path);

    const int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        const int e = errno;
        if (fd >= 0)
            close(fd);
        return e == ENOENT ? TT_OK : tt_err_errno(err, e, "%s: cannot open the folder", path);
    }
    tt_status st = TT_OK;
    for (struct dirent *e; st == TT_OK && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            st = remove_below(fd, e->d_name, path, depth + 1, err);
    closedir(dir);
    if (st == TT_OK && unlinkat(dirfd, name, AT_REMOVEDIR) != 0 && errno != ENOENT) /* someone else may remove it too */
        st = tt_err_errno(err, errno, "%s: cannot remove the folder", path);
    return st;
}

tt_status tt_remove_all(const char *path, struct tt_err *err) { return remove_below(AT_FDCWD, path, path, 0, err); }

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

tt_status tt_dir_list(struct tt_arena *arena, const char *path, char ***names, size_t *n, struct tt_err *err)
{
    DIR *dir = opendir(path);
    if (!dir)
        return tt_err_errno(err, errno, "%s: cannot open the folder", path);

    tt_status st = TT_OK;
    char **list = NULL;
    size_t count = 0, cap = 0;
    for (struct dirent *e; st == TT_OK && (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (count == cap) {
            char **bigger = tt_arena_array(arena, cap ? cap * 2 : 64, sizeof *list);
            if (!bigger) {
                st = tt_err_nomem(err, cap * 2 * sizeof *list, path);
                break;
            }
            if (count)
                memcpy(bigger, list, count * sizeof *list);
            list = bigger;
            cap = cap ? cap * 2 : 64;
        }
        list[count] = tt_arena_str(arena, e->d_name);
        if (!list[count++])
            st = tt_err_nomem(err, strlen(e->d_name) + 1, path);
    }
    closedir(dir);
    if (st != TT_OK)
        return st;
    if (count)
        qsort(list, count, sizeof *list, by_name);
    *names = list;
    *n = count;
    return TT_OK;
}

char *tt_path_join(struct tt_arena *arena, const char *a, const char *b)
{
    if (*a == 0 || *b == '/')
        return tt_arena_str(arena, b);
    return tt_arena_printf(arena, "%s%s%s", a, a[strlen(a) - 1] == '/' ? "" : "/", b);
}

const char *tt_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *tt_path_dir(struct tt_arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return tt_arena_str(arena, ".");
    return tt_arena_strn(arena, path, slash == path ? 1 : (size_t)(slash - path));
}

const char *tt_path_existing_dir(struct tt_arena *arena, const char *folder)
{
    while (folder && !tt_path_is_dir(folder) && strcmp(folder, ".") != 0 && strcmp(folder, "/") != 0)
        folder = tt_path_dir(arena, folder);
    return folder;
}

bool tt_path_is_name(const char *s)
{
    for (const char *p = s; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f || *p == '/')
            return false;
    return *s && strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

bool tt_has_suffix(const char *s, const char *suffix)
{
    const size_t n = strlen(s), m = strlen(suffix);
    return n >= m && memcmp(s + n - m, suffix, m) == 0;
}
