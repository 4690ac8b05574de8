#define _GNU_SOURCE
#include "ckpt/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

struct tt_files_slot {
    struct tt_infile in; /* closed: path NULL */
    unsigned pins;
    uint64_t used; /* the clock when it was pinned last */
};

tt_status tt_files_init(struct tt_files *files, const char *folder, const char *const *names, size_t n, struct tt_err *err)
{
    struct tt_files_slot *slots = calloc(n + 1, sizeof *slots);
    const int rc = slots ? pthread_mutex_init(&files->lock, NULL) : ENOMEM;

    if (rc) {
        free(slots);
        return tt_err_errno(err, rc, "%s: cannot make the list of its files", folder);
    }
    files->folder = folder;
    files->names = names;
    files->n = n;
    files->nopen = 0;
    files->copied = TT_FILES_UNKNOWN;
    files->clock = 0;
    files->slots = slots;
    files->spill = (struct tt_infile){ .fd = -1 };
    files->spill_end = 0;
    files->spill_folder = NULL;
    return TT_OK;
}

void tt_files_release(struct tt_files *files)
{
    if (!files->slots)
        return;
    for (size_t i = 0; i < files->n; i++)
        tt_infile_close(&files->slots[i].in);
    tt_infile_close(&files->spill);
    free(files->spill_folder);
    pthread_mutex_destroy(&files->lock);
    free(files->slots);
    *files = (struct tt_files){ 0 };
}

static const char *path_of(const struct tt_files *files, size_t i, struct tt_arena *arena)
{
    return files->names[i][0] ? tt_path_join(arena, files->folder, files->names[i]) : files->folder;
}

static bool can_share(const char *folder)
{
    struct statfs fs;

    return statfs(folder, &fs) == 0 && fs.f_type != EXT4_SUPER_MAGIC && fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC;
}

static bool has_holes(const struct tt_files *files, size_t i)
{
    enum { BLOCK = 512 }; /* what st_blocks counts */
    struct tt_arena arena = { 0 };
    struct stat st;
    const char *path = path_of(files, i, &arena);
    const bool has = path && stat(path, &st) == 0 && (int64_t)st.st_blocks * BLOCK < (int64_t)st.st_size;

    tt_arena_release(&arena);
    return has;
}

bool tt_files_by_kernel(struct tt_files *files)
{
    if (files->copied == TT_FILES_UNKNOWN) {
        bool by_kernel = files->n && can_share(files->folder);
        for (size_t i = 0; i < files->n && !by_kernel; i++)
            by_kernel = has_holes(files, i);
        files->copied = by_kernel ? TT_FILES_BY_KERNEL : TT_FILES_BY_READING;
    }
    return files->copied == TT_FILES_BY_KERNEL;
}

/* False: every open file is in use. */
static bool close_oldest(struct tt_files *files)
{
    struct tt_files_slot *oldest = NULL;

    for (size_t i = 0; i < files->n; i++) {
        struct tt_files_slot *slot = &files->slots[i];
        if (slot->in.path && slot->pins == 0 && (!oldest || slot->used < oldest->used))
            oldest = slot;
    }
    if (!oldest)
        return false;
    tt_infile_close(&oldest->in);
    files->nopen--;
    return true;
}

static tt_status open_slot(struct tt_files *files, uint32_t index, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    const char *path = path_of(files, index, &arena);
    tt_status st = path ? TT_OK : tt_err_nomem(err, 0, files->folder);

    while (files->nopen >= TT_FILES_OPEN_MAX && close_oldest(files))
        ;
    if (st == TT_OK) {
        /* Where the process may open no more, what is open goes first. */
        do {
            errno = 0;
            st = tt_infile_open(&files->slots[index].in, path, err);
        } while (st != TT_OK && (errno == EMFILE || errno == ENFILE) && close_oldest(files));
        files->nopen += st == TT_OK;
    }
    tt_arena_release(&arena);
    return st;
}

tt_status tt_files_pin(struct tt_files *files, uint32_t index, const struct tt_infile **out, struct tt_err *err)
{
    tt_status st = TT_OK;

    if (!files->slots)
        return tt_err_set(err, TT_EINVAL, "a checkpoint that comes through a pipe can only be listed");
    if (index == files->n) { /* it stays open */
        *out = &files->spill;
        return TT_OK;
    }
    pthread_mutex_lock(&files->lock);
    struct tt_files_slot *slot = &files->slots[index];
    if (!slot->in.path)
        st = open_slot(files, index, err);
    if (st == TT_OK) {
        slot->pins++;
        slot->used = ++files->clock;
        *out = &slot->in;
    }
    pthread_mutex_unlock(&files->lock);
    return st;
}

void tt_files_unpin(struct tt_files *files, uint32_t index)
{
    if (index == files->n)
        return;
    pthread_mutex_lock(&files->lock);
    files->slots[index].pins--;
    pthread_mutex_unlock(&files->lock);
}

/* --- the spill file ------------------------------------------------------------------------------------------------------------- */

tt_status tt_files_spill_into(struct tt_files *files, const char *folder, struct tt_err *err)
{
    char *copy = strdup(folder);

    if (!copy)
        return tt_err_nomem(err, strlen(folder) + 1, "a path");
    pthread_mutex_lock(&files->lock);
    free(files->spill_folder);
    files->spill_folder = copy;
    pthread_mutex_unlock(&files->lock);
    return TT_OK;
}

/* A file that has no name from the start, or, where the file system has no such files, none soon after. */
static int open_unnamed(struct tt_arena *arena, const char *folder)
{
    const int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    char *name = fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)
                     ? tt_path_join(arena, folder, ".titan-spill-XXXXXX") : NULL;

    if (!name)
        return fd;
    const int named = mkostemp(name, O_CLOEXEC);
    if (named >= 0)
        unlink(name);
    return named;
}

static tt_status open_spill(struct tt_files *files, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    const char *tmp = getenv("TMPDIR"), *folder = files->spill_folder ? files->spill_folder : tmp && *tmp ? tmp : "/tmp";
    const char *text = tt_arena_printf(&arena, "%s: what is decoded of %s", folder, files->folder);
    char *name = text ? strdup(text) : NULL;
    const int fd = name ? open_unnamed(&arena, folder) : -1;
    tt_status st = TT_OK;

    if (!name)
        st = tt_err_nomem(err, strlen(folder), "a path");
    else if (fd < 0)
        st = tt_err_errno(err, errno, "%s: cannot make a temporary file", folder);
    if (st == TT_OK)
        files->spill = (struct tt_infile){ .fd = fd, .path = name };
    else
        free(name);
    tt_arena_release(&arena);
    return st;
}

tt_status tt_files_spill_take(struct tt_files *files, uint64_t nbytes, uint64_t *offset, struct tt_err *err)
{
    enum { ALIGN = 1 << 16 }; /* so that what is given back is whole blocks */
    tt_status st = TT_OK;

    pthread_mutex_lock(&files->lock);
    if (!files->spill.path)
        st = open_spill(files, err);
    if (st == TT_OK) {
        *offset = files->spill_end;
        files->spill_end += (nbytes + ALIGN - 1) / ALIGN * ALIGN;
    }
    pthread_mutex_unlock(&files->lock);
    return st;
}

tt_status tt_files_spill_write(struct tt_files *files, const void *bytes, size_t nbytes, uint64_t offset, struct tt_err *err)
{
    return tt_pwrite_full(files->spill.fd, bytes, nbytes, offset, files->spill.path, err);
}

void tt_files_spill_give(struct tt_files *files, uint64_t nbytes, uint64_t offset)
{
    /* A file system that cannot do that keeps it until the end. */
    (void)fallocate(files->spill.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)nbytes);
}
