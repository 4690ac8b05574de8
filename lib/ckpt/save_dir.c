#define _GNU_SOURCE
#include "ckpt/save_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define TMP_PREFIX ".titan-"
enum { TMP_DIGITS = 12, TRIES = 100 };

static bool is_tmp_name(const char *name)
{
    const size_t n = strlen(TMP_PREFIX);
    return strncmp(name, TMP_PREFIX, n) == 0 && strlen(name) == n + TMP_DIGITS &&
           strspn(name + n, "0123456789abcdef") == TMP_DIGITS;
}

/* A descriptor of the folder, with the lock on it, or -1. The lock ends with the process, however it ends. */
static int lock_folder(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool is_finished(struct tt_arena *arena, const char *dir)
{
    const char *path = tt_path_join(arena, dir, ".metadata");
    return !path || tt_path_exists(path);
}

/* Removes temporary folders whose process is gone. Those with .metadata may be all that is left of a step (see exchange_slowly): they
 * go only when a new step stands. Failures here are no reason to fail a save: they are logged. */
static void remove_stale(const struct tt_save_dir *save, bool finished_too)
{
    struct tt_arena arena = { 0 };
    char **names;
    size_t n = 0;
    struct tt_err err;

    if (tt_dir_list(&arena, save->parent, &names, &n, &err) != TT_OK)
        tt_log_line(save->log, TT_LOG_WARNING, "%s", err.msg);
    for (size_t i = 0; i < n; i++) {
        const char *path = is_tmp_name(names[i]) ? tt_path_join(&arena, save->parent, names[i]) : NULL;
        if (!path || (!finished_too && is_finished(&arena, path)))
            continue;
        const int fd = lock_folder(path);
        if (fd < 0)
            continue;
        if (tt_remove_all(path, &err) == TT_OK)
            tt_log_line(save->log, TT_LOG_INFO, "removed %s, left by a save that did not end", path);
        else
            tt_log_line(save->log, TT_LOG_WARNING, "%s", err.msg);
        close(fd);
    }
    tt_arena_release(&arena);
}

/* One try: a random name, the folder, the lock. Between mkdir and lock a cleaner may have taken it for stale. */
static tt_status try_make_tmp(struct tt_save_dir *save, bool *made, struct tt_err *err)
{
    uint64_t random;
    struct stat here, there;

    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return tt_err_errno(err, errno, "getrandom");
    snprintf(save->tmp, strlen(save->parent) + 64, "%s/" TMP_PREFIX "%0*" PRIx64, save->parent, TMP_DIGITS, random >> 16);
    if (mkdir(save->tmp, 0777) != 0)
        return errno == EEXIST ? TT_OK : tt_err_errno(err, errno, "%s: cannot make the folder", save->tmp);
    save->lock_fd = lock_folder(save->tmp);
    *made = save->lock_fd >= 0 && fstat(save->lock_fd, &here) == 0 && stat(save->tmp, &there) == 0 && here.st_ino == there.st_ino;
    if (!*made && save->lock_fd >= 0) {
        close(save->lock_fd);
        save->lock_fd = -1;
    }
    return TT_OK;
}

static char *without_slashes(const char *dir)
{
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    return strndup(dir, n);
}

tt_status tt_save_dir_open(struct tt_save_dir *out, const char *dir, const struct tt_log *log, struct tt_err *err)
{
    struct tt_save_dir save = { .lock_fd = -1, .log = log };
    struct tt_arena arena = { 0 };
    tt_status st = TT_OK;
    bool made = false;

    save.final = without_slashes(dir);
    const char *parent = save.final ? tt_path_dir(&arena, save.final) : NULL;
    save.parent = parent ? strdup(parent) : NULL;
    save.tmp = save.parent ? malloc(strlen(save.parent) + 64) : NULL;
    tt_arena_release(&arena);
    if (!save.tmp)
        st = tt_err_nomem(err, strlen(dir), "a path");
    if (st == TT_OK)
        st = tt_mkdir_p(save.parent, err);
    if (st == TT_OK)
        remove_stale(&save, false);
    for (int i = 0; i < TRIES && st == TT_OK && !made; i++)
        st = try_make_tmp(&save, &made, err);
    if (st == TT_OK && !made)
        st = tt_err_set(err, TT_EIO, "%s: cannot make a temporary folder of its own", save.parent);
    if (st == TT_OK) {
        *out = save;
        return TT_OK;
    }
    free(save.final);
    free(save.parent);
    free(save.tmp);
    return st;
}

/* Where the file system cannot exchange two names. Between the two renames neither has the final name: a kill right there leaves both
 * under temporary ones, complete, and the next save keeps them until its own step stands. */
static tt_status exchange_slowly(const struct tt_save_dir *save, struct tt_err *err)
{
    char *aside = malloc(strlen(save->tmp) + 1);
    if (!aside)
        return tt_err_nomem(err, strlen(save->tmp), "a path");
    strcpy(aside, save->tmp);
    char *last = aside + strlen(aside) - 1;
    *last = *last == '0' ? '1' : '0';

    tt_status st = TT_OK;
    if (rename(save->final, aside) != 0)
        st = tt_err_errno(err, errno, "%s: cannot rename to %s", save->final, aside);
    else if (rename(save->tmp, save->final) != 0) {
        st = tt_err_errno(err, errno, "%s: cannot rename to %s", save->tmp, save->final);
        if (rename(aside, save->final) != 0)
            st = tt_err_errno(err, errno, "%s: what was %s cannot get its name back", aside, save->final);
    } else if (rename(aside, save->tmp) != 0)
        st = tt_err_errno(err, errno, "%s: cannot rename to %s", aside, save->tmp);
    free(aside);
    return st;
}

/* The new folder has its name, and save->tmp is the old one or nothing. */
static tt_status take_name(const struct tt_save_dir *save, struct tt_err *err)
{
    if (renameat2(AT_FDCWD, save->tmp, AT_FDCWD, save->final, RENAME_NOREPLACE) == 0)
        return TT_OK;
    if (errno == ENOENT)
        return tt_err_errno(err, errno, "%s: cannot rename to %s", save->tmp, save->final);
    if (errno == EEXIST) {
        if (renameat2(AT_FDCWD, save->tmp, AT_FDCWD, save->final, RENAME_EXCHANGE) == 0)
            return TT_OK;
    } else if (!tt_path_exists(save->final)) { /* no flags on this file system */
        return rename(save->tmp, save->final) == 0
                   ? TT_OK : tt_err_errno(err, errno, "%s: cannot rename to %s", save->tmp, save->final);
    }
    return exchange_slowly(save, err);
}

tt_status tt_save_dir_commit(struct tt_save_dir *save, struct tt_err *err)
{
    tt_status st = tt_fsync_dir(save->tmp, err);
    if (st == TT_OK)
        st = take_name(save, err);
    if (st == TT_OK)
        st = tt_fsync_dir(save->parent, err);
    if (st == TT_OK) {
        if (tt_path_exists(save->tmp)) {
            struct tt_err why;
            if (tt_remove_all(save->tmp, &why) != TT_OK)
                tt_log_line(save->log, TT_LOG_WARNING, "%s", why.msg);
        }
        remove_stale(save, true);
    }
    tt_save_dir_abandon(save);
    return st;
}

void tt_save_dir_abandon(struct tt_save_dir *save)
{
    struct tt_err err;

    if (!save || !save->final)
        return;
    if (tt_remove_all(save->tmp, &err) != TT_OK)
        tt_log_line(save->log, TT_LOG_WARNING, "%s", err.msg);
    close(save->lock_fd);
    free(save->final);
    free(save->parent);
    free(save->tmp);
    *save = (struct tt_save_dir){ .lock_fd = -1 };
}
