#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ckpt/write_private.h"

enum { SYNC_NBYTES = 16 << 20 }; /* the disk is kept busy while the next blocks are read */

tt_status tt_out_files_init(struct out_files *files, uint32_t n, const struct tt_write_opts *opts, struct tt_err *err)
{
    *files = (struct out_files){ .items = calloc((size_t)n + 1, sizeof *files->items), .opts = opts };
    if (!files->items)
        return tt_err_errno(err, ENOMEM, "cannot make the list of the output's files");
    pthread_mutex_init(&files->lock, NULL); /* which cannot fail on Linux */
    for (uint32_t i = 0; i < n; i++) {
        files->items[i].fd = -1;
        pthread_mutex_init(&files->items[i].writing, NULL);
    }
    files->n = n;
    return TT_OK;
}

void tt_out_files_release(struct out_files *files)
{
    if (!files->items)
        return;
    for (uint32_t i = 0; i < files->n; i++) {
        if (files->items[i].fd >= 0 && !files->items[i].is_kept)
            close(files->items[i].fd);
        pthread_mutex_destroy(&files->items[i].writing);
    }
    pthread_mutex_destroy(&files->lock);
    free(files->items);
    *files = (struct out_files){ 0 };
}

static tt_status get_fd(struct out_files *files, struct out_file *file, int *fd, struct tt_err *err)
{
    tt_status st = TT_OK;

    pthread_mutex_lock(&files->lock);
    if (file->fd < 0)
        file->fd = open(file->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file->fd < 0)
        st = tt_err_errno(err, errno, "%s: cannot create", file->path);
    *fd = file->fd;
    pthread_mutex_unlock(&files->lock);
    return st;
}

static tt_status close_file(struct out_file *file, struct tt_err *err)
{
    tt_status st = TT_OK;

    if (file->fd < 0 || file->is_kept)
        return TT_OK;
    if (fsync(file->fd) != 0)
        st = tt_err_errno(err, errno, "%s: cannot fsync", file->path);
    if (close(file->fd) != 0 && st == TT_OK)
        st = tt_err_errno(err, errno, "%s: cannot close", file->path);
    file->fd = -1;
    return st;
}

/* nbytes more are in the file. With its last it is fsynced and closed: a checkpoint may have more files than can be open. */
static tt_status note_written(struct out_files *files, struct out_file *file, uint64_t nbytes, struct tt_err *err)
{
    const struct tt_write_opts *opts = files->opts;
    bool start = false;

    pthread_mutex_lock(&files->lock);
    file->left -= nbytes;
    file->unsynced += nbytes;
    if (file->unsynced >= SYNC_NBYTES) {
        file->unsynced = 0;
        start = true;
    }
    files->done += nbytes;
    if (opts->progress)
        opts->progress(opts->ctx, files->done, files->total);
    const bool last = file->left == 0;
    const int fd = file->fd; /* another thread may be closing it by then: it is only a hint */
    pthread_mutex_unlock(&files->lock);
    if (start && !last)
        (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    return last ? close_file(file, err) : TT_OK;
}

/* One thread at a time, as the kernel has it for a file: there the others would wait for it spinning. */
static tt_status write_bytes(struct out_file *file, int fd, const void *bytes, size_t nbytes, uint64_t offset, struct tt_err *err)
{
    pthread_mutex_lock(&file->writing);
    const tt_status st = tt_pwrite_full(fd, bytes, nbytes, offset, file->path, err);
    pthread_mutex_unlock(&file->writing);
    return st;
}

static tt_status write_at(void *ctx, uint32_t index, const void *bytes, size_t nbytes, uint64_t offset, struct tt_err *err)
{
    struct out_files *files = ctx;
    struct out_file *file = &files->items[index];
    int fd = -1;
    tt_status st = get_fd(files, file, &fd, err);

    if (st == TT_OK)
        st = write_bytes(file, fd, bytes, nbytes, offset, err);
    return st == TT_OK ? note_written(files, file, nbytes, err) : st;
}

/* Whether this is only what the kernel cannot do here, and not a failure. */
static bool is_no_way(int e)
{
    return e == EXDEV || e == EINVAL || e == ENOSYS || e == EOPNOTSUPP || e == EPERM || e == EBADF || e == ETXTBSY;
}

/* How many of the nbytes at offset are a hole of the input with data behind it: a new file has the same there if nothing is
 * written, and copy_file_range would write zeros. */
static uint64_t hole_nbytes(const struct tt_infile *from, uint64_t offset, uint64_t nbytes)
{
    const off_t data = lseek(from->fd, (off_t)offset, SEEK_DATA);
    if (nbytes == 0 || data < (off_t)offset) /* no data behind, or not known here */
        return 0;
    const uint64_t hole = (uint64_t)data - offset;
    return hole < nbytes ? hole : nbytes - 1; /* the last byte may be the output's: it makes the file as long as it should be */
}

/* copy_file_range to fd, which is new, until nbytes are done, or it cannot be done. */
static tt_status kernel_copy(int fd, const char *path, const struct tt_infile *from, uint64_t from_offset, uint64_t nbytes,
                             uint64_t offset, uint64_t *done, struct tt_err *err)
{
    const uint64_t hole = hole_nbytes(from, from_offset, nbytes);

    *done = hole;
    while (*done < nbytes) {
        off_t in = (off_t)(from_offset + *done), out = (off_t)(offset + *done);
        const ssize_t n = copy_file_range(from->fd, &in, fd, &out, (size_t)(nbytes - *done), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && !is_no_way(errno))
            return tt_err_errno(err, errno, "%s: cannot copy from %s", path, from->path);
        if (n <= 0) { /* not here, or the end of the input, or a file system that says so of what it cannot do: reading tells */
            *done = *done == hole ? 0 : *done;
            return TT_OK;
        }
        *done += (uint64_t)n;
    }
    return TT_OK;
}

static tt_status copy_at(void *ctx, uint32_t index, const struct tt_infile *from, uint64_t from_offset, uint64_t nbytes,
                         uint64_t offset, uint64_t *done, struct tt_err *err)
{
    struct out_files *files = ctx;
    struct out_file *file = &files->items[index];
    int fd = -1;
    tt_status st = get_fd(files, file, &fd, err);

    *done = 0;
    if (st == TT_OK)
        st = kernel_copy(fd, file->path, from, from_offset, nbytes, offset, done, err);
    return st == TT_OK && *done == nbytes ? note_written(files, file, nbytes, err) : st;
}

struct tt_sink tt_out_files_sink(struct out_files *files)
{
    return (struct tt_sink){ .write = write_at, .copy = copy_at, .ctx = files };
}

static tt_status copy_whole(struct out_files *files, uint32_t index, int fd, const struct tt_infile *from, struct tt_err *err)
{
    enum { STEP = 8 << 20 };
    struct out_file *file = &files->items[index];
    uint8_t *buf = NULL;
    tt_status st = TT_OK;

    for (uint64_t at = 0; at < from->nbytes && st == TT_OK;) {
        const uint64_t left = from->nbytes - at, n = left < STEP ? left : STEP;
        uint64_t done = 0;
        st = kernel_copy(fd, file->path, from, at, n, at, &done, err);
        if (st == TT_OK && done < n && !tt_io_buffer_once(&buf, STEP))
            st = tt_err_nomem(err, STEP, "a buffer");
        if (st == TT_OK && done < n)
            st = tt_infile_pread(from, buf, (size_t)(n - done), at + done, err);
        if (st == TT_OK && done < n)
            st = tt_pwrite_full(fd, buf, (size_t)(n - done), at + done, file->path, err);
        if (st == TT_OK)
            st = tt_copy_check_stop(files->opts->stop, err);
        if (st == TT_OK)
            st = note_written(files, file, n, err);
        at += n;
    }
    free(buf);
    return st;
}

tt_status tt_out_files_clone(struct out_files *files, uint32_t index, const struct tt_infile *from, bool link, struct tt_err *err)
{
    struct out_file *file = &files->items[index];
    int fd = -1;

    if (link && linkat(AT_FDCWD, from->path, AT_FDCWD, file->path, AT_SYMLINK_FOLLOW) == 0) {
        file->left = 0;
        file->is_linked = true;
        return TT_OK;
    }
    if (link && errno != EXDEV && errno != EPERM && errno != EMLINK && errno != EOPNOTSUPP)
        return tt_err_errno(err, errno, "%s: cannot link to %s", file->path, from->path);
    tt_status st = get_fd(files, file, &fd, err);
    if (st == TT_OK && from->nbytes && ioctl(fd, FICLONE, from->fd) == 0)
        return note_written(files, file, from->nbytes, err);
    return st == TT_OK ? copy_whole(files, index, fd, from, err) : st;
}

tt_status tt_out_files_finish(struct out_files *files, struct tt_err *err)
{
    tt_status st = TT_OK;

    for (uint32_t i = 0; i < files->n && st == TT_OK; i++) {
        struct out_file *file = &files->items[i];
        int fd = -1;
        if (file->nbytes == 0 && !file->is_linked)
            st = get_fd(files, file, &fd, err);
        if (st == TT_OK)
            st = close_file(file, err);
    }
    return st;
}
