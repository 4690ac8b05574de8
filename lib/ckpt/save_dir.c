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

enum { TMP_DIGITS = 12, TMP_FILE_DIGITS = 16, TRIES = 100 };

/* A folder in the making: ".titan-" and 12 hexadecimal digits. An earlier step that was put aside, where it could not be exchanged
 * in one go: the same, a "-", and the name that it had, escaped so that nobody takes it for a step: ".titan-0123456789ab-step%2D5".
 */
static size_t tmp_length(const char *name)
{
    const size_t n = strlen(TT_TMP_PREFIX);
    return strncmp(name, TT_TMP_PREFIX, n) == 0 && strspn(name + n, "0123456789abcdef") == TMP_DIGITS ? n + TMP_DIGITS : 0;
}

/* A file in the making (tt_outfile). */
static bool is_tmp_file(const char *name)
{
    const size_t n = strlen(TT_TMP_PREFIX);
    return strncmp(name, TT_TMP_PREFIX, n) == 0 && strspn(name + n, "0123456789abcdef") == TMP_FILE_DIGITS &&
           strcmp(name + n + TMP_FILE_DIGITS, TT_TMP_SUFFIX) == 0;
}

static char *aside_path(struct tt_arena *arena, const struct tt_save_dir *save)
{
    struct tt_buf path = { 0 };

    tt_buf_printf(&path, "%s-", save->tmp);
    for (const char *p = tt_path_base(save->final); *p; p++) {
        if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_')
            tt_buf_byte(&path, (uint8_t)*p);
        else
            tt_buf_printf(&path, "%%%02X", (uint8_t)*p);
    }
    const char *text = tt_buf_cstr(&path);
    char *copy = !path.failed ? tt_arena_str(arena, text) : NULL;
    tt_buf_release(&path);
    return copy;
}

/* The name in an aside name, or NULL. */
static char *aside_name(struct tt_arena *arena, const char *name)
{
    static const char digits[] = "0123456789ABCDEF";
    const size_t n = tmp_length(name);
    const char *from = name + n + 1;
    char *out = n && name[n] == '-' && *from ? tt_arena_str(arena, from) : NULL;
    char *to = out;

    while (out && *from) {
        if (*from != '%') {
            *to++ = *from++;
            continue;
        }
        const char *high = from[1] ? strchr(digits, from[1]) : NULL, *low = high && from[2] ? strchr(digits, from[2]) : NULL;
        if (!low)
            return NULL;
        *to++ = (char)((high - digits) << 4 | (low - digits));
        from += 3;
    }
    if (out)
        *to = 0;
    return out && strchr(out, '/') ? NULL : out;
}

static int open_folder(const char *path) { return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); }

/* A descriptor of the folder, with the lock on it, or -1. The lock ends with the process, however it ends. */
static int lock_folder(const char *path)
{
    const int fd = open_folder(path);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* A folder that a dead process left: what it was to replace gets its name back where nothing has it, all else is removed. */
static void clear_up(const char *path, const char *was, const struct tt_log *log)
{
    struct tt_err err;
    const int fd = lock_folder(path);

    if (fd < 0)
        return;
    if (was && !tt_path_exists(was)) {
        if (rename(path, was) == 0)
            tt_log_line(log, TT_LOG_INFO, "%s has its name back: the save that was to replace it did not end", was);
        else
            tt_log_line(log, TT_LOG_WARNING, "%s: cannot rename to %s: %s", path, was, strerror(errno));
    } else if (tt_remove_all(path, &err) == TT_OK) {
        tt_log_line(log, TT_LOG_INFO, "removed %s, left by a save that did not end", path);
    } else {
        tt_log_line(log, TT_LOG_WARNING, "%s", err.msg);
    }
    close(fd);
}

/* A file that a dead process left. */
static void clear_up_file(const char *path, const struct tt_log *log)
{
    const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        if (unlink(path) == 0)
            tt_log_line(log, TT_LOG_INFO, "removed %s, left by a run that did not end", path);
        else
            tt_log_line(log, TT_LOG_WARNING, "%s: cannot remove it: %s", path, strerror(errno));
    }
    if (fd >= 0)
        close(fd);
}

void tt_save_dir_recover(const char *parent, const struct tt_log *log)
{
    struct tt_arena arena = { 0 };
    char **names;
    size_t n = 0;
    struct tt_err err;

    if (!tt_path_is_dir(parent))
        return;
    if (tt_dir_list(&arena, parent, &names, &n, &err) != TT_OK)
        tt_log_line(log, TT_LOG_WARNING, "%s", err.msg);
    for (size_t i = 0; i < n; i++) {
        const char *was = aside_name(&arena, names[i]);
        const size_t ntmp = tmp_length(names[i]);
        const char *path = was || (ntmp && names[i][ntmp] == 0) ? tt_path_join(&arena, parent, names[i]) : NULL;
        const char *final = was ? tt_path_join(&arena, parent, was) : NULL;
        const char *file = is_tmp_file(names[i]) ? tt_path_join(&arena, parent, names[i]) : NULL;
        if (path && (!was || final))
            clear_up(path, final, log);
        if (file)
            clear_up_file(file, log);
    }
    tt_arena_release(&arena);
}

/* Whether the folder, just made, is ours alone: between mkdir and lock somebody who clears up may have taken it for a dead one's.
 * Where the file system has no locks nobody can tell that, and nothing is cleared up. */
static tt_status lock_tmp(struct tt_save_dir *save, bool *made, struct tt_err *err)
{
    struct stat here, there;
    const int fd = open_folder(save->tmp);

    if (fd < 0)
        return errno == ENOENT ? TT_OK : tt_err_errno(err, errno, "%s: cannot open the folder", save->tmp);
    const bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0 || errno == ENOSYS || errno == EOPNOTSUPP || errno == ENOLCK;
    *made = locked && fstat(fd, &here) == 0 && stat(save->tmp, &there) == 0 && here.st_ino == there.st_ino;
    if (*made)
        save->lock_fd = fd;
    else
        close(fd);
    return TT_OK;
}

/* One try: a random name, the folder, the lock. */
static tt_status try_make_tmp(struct tt_save_dir *save, bool *made, struct tt_err *err)
{
    uint64_t random;

    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return tt_err_errno(err, errno, "getrandom");
    snprintf(save->tmp, strlen(save->parent) + 64, "%s/" TT_TMP_PREFIX "%0*" PRIx64, save->parent, TMP_DIGITS, random >> 16);
    if (mkdir(save->tmp, 0700) != 0)
        return errno == EEXIST ? TT_OK : tt_err_errno(err, errno, "%s: cannot make the folder", save->tmp);
    const tt_status st = lock_tmp(save, made, err);
    if (st != TT_OK)
        rmdir(save->tmp);
    return st;
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
        tt_save_dir_recover(save.parent, log);
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

static tt_status cannot_rename(const char *from, const char *to, struct tt_err *err)
{
    return tt_err_errno(err, errno, "%s: cannot rename to %s", from, to);
}

/* Where the file system cannot exchange two names. Between the first two renames neither has the final name: a kill right there
 * leaves the earlier one under a name that tells which it had, and tt_save_dir_recover gives it back. */
static tt_status exchange_slowly(const struct tt_save_dir *save, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    const char *aside = aside_path(&arena, save);
    const int fd = lock_folder(save->final); /* it goes with the folder to its other names */
    tt_status st = aside ? TT_OK : tt_err_nomem(err, strlen(save->tmp), "a path");

    if (st == TT_OK && rename(save->final, aside) != 0)
        st = cannot_rename(save->final, aside, err);
    else if (st == TT_OK) {
        const bool named = rename(save->tmp, save->final) == 0;
        if (!named)
            st = cannot_rename(save->tmp, save->final, err);
        else if (rename(aside, save->tmp) != 0)
            st = cannot_rename(aside, save->tmp, err);
        if (st != TT_OK && ((named && rename(save->final, save->tmp) != 0) || rename(aside, save->final) != 0))
            tt_log_line(save->log, TT_LOG_WARNING, "%s: %s waits there for the next save to get its name back", aside, save->final);
    }
    if (fd >= 0)
        close(fd);
    tt_arena_release(&arena);
    return st;
}

/* Flags of renameat2 are not for every file system. */
static bool has_no_flags(int e) { return e == EINVAL || e == ENOSYS || e == EOPNOTSUPP; }

/* The new folder has its name, and save->tmp is the old one or nothing. */
static tt_status take_name(const struct tt_save_dir *save, struct tt_err *err)
{
    if (renameat2(AT_FDCWD, save->tmp, AT_FDCWD, save->final, RENAME_NOREPLACE) == 0)
        return TT_OK;
    if (has_no_flags(errno) && !tt_path_exists(save->final))
        return rename(save->tmp, save->final) == 0 ? TT_OK : cannot_rename(save->tmp, save->final, err);
    if (errno != EEXIST && !has_no_flags(errno))
        return cannot_rename(save->tmp, save->final, err);
    if (renameat2(AT_FDCWD, save->tmp, AT_FDCWD, save->final, RENAME_EXCHANGE) == 0)
        return TT_OK;
    return has_no_flags(errno) ? exchange_slowly(save, err) : cannot_rename(save->tmp, save->final, err);
}

/* A new name that may not outlive a crash is not to be reported as a step, nor to stand. */
static void give_name_back(const struct tt_save_dir *save)
{
    struct tt_err err;
    const tt_status st = tt_path_exists(save->tmp)             ? take_name(save, &err)
                         : rename(save->final, save->tmp) == 0 ? TT_OK
                                                               : cannot_rename(save->final, save->tmp, &err);
    if (st != TT_OK)
        tt_log_line(save->log, TT_LOG_WARNING, "%s", err.msg);
}

/* The mode that mkdir gives where nothing else is asked for. The umask cannot be read without changing it for all threads: a folder
 * made for a moment tells. */
static tt_status open_to_others(const struct tt_save_dir *save, struct tt_err *err)
{
    struct stat st;

    if (mkdirat(save->lock_fd, ".mode", 0777) != 0 || fstatat(save->lock_fd, ".mode", &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        unlinkat(save->lock_fd, ".mode", AT_REMOVEDIR) != 0 || fchmod(save->lock_fd, st.st_mode & 07777) != 0)
        return tt_err_errno(err, errno, "%s: cannot set its mode", save->tmp);
    return TT_OK;
}

/* rename(2) of a folder takes the place of nothing, or of an empty folder. */
static tt_status take_new_name(const struct tt_save_dir *save, struct tt_err *err)
{
    return rename(save->tmp, save->final) == 0 ? TT_OK : cannot_rename(save->tmp, save->final, err);
}

tt_status tt_save_dir_commit(struct tt_save_dir *save, struct tt_err *err)
{
    tt_status st = open_to_others(save, err);
    if (st == TT_OK)
        st = tt_fsync_dir(save->tmp, err);
    if (st == TT_OK)
        st = save->no_replace ? take_new_name(save, err) : take_name(save, err);
    if (st == TT_OK) {
        st = tt_fsync_dir(save->parent, err);
        if (st != TT_OK)
            give_name_back(save);
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
