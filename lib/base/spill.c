#define _GNU_SOURCE
#include "base/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { BLOCK_NBYTES = 1 << 20 };

static bool is_file_from_its_start(void)
{
    struct stat st;
    return fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode) && lseek(STDIN_FILENO, 0, SEEK_CUR) == 0;
}

/* A file whose name is taken away at once: not every file system has O_TMPFILE. */
static int open_nameless(struct tt_arena *arena, const char *folder)
{
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return -1;
    const char *path = tt_arena_printf(arena, "%s/.titan-%016llx", folder, (unsigned long long)random);
    const int fd = path ? open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (fd >= 0)
        unlink(path);
    return fd;
}

static tt_status copy_stdin(int fd, const char *folder, struct tt_err *err)
{
    uint8_t *block = malloc(BLOCK_NBYTES);
    tt_status st = block ? TT_OK : tt_err_nomem(err, BLOCK_NBYTES, "a buffer");

    while (st == TT_OK) {
        const ssize_t n = read(STDIN_FILENO, block, BLOCK_NBYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            st = tt_err_errno(err, errno, "stdin: cannot read");
        else if (n > 0)
            st = tt_write_full(fd, block, (size_t)n, folder, err);
        if (n <= 0)
            break;
    }
    free(block);
    return st;
}

tt_status tt_spill_stdin(const char *folder, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    tt_status st = TT_OK;

    if (isatty(STDIN_FILENO))
        return tt_err_set(err, TT_EINVAL, "stdin is a terminal: a checkpoint is binary; redirect it");
    if (is_file_from_its_start())
        return TT_OK;
    const char *at = tt_path_existing_dir(&arena, folder);
    const int fd = at ? open_nameless(&arena, at) : -1;
    if (fd < 0)
        st = tt_err_errno(err, errno, "%s: cannot make a temporary file for what comes from stdin", at ? at : folder);
    if (st == TT_OK)
        st = copy_stdin(fd, at, err);
    if (st == TT_OK && dup2(fd, STDIN_FILENO) < 0)
        st = tt_err_errno(err, errno, "stdin: cannot be replaced by its copy");
    if (fd >= 0)
        close(fd);
    tt_arena_release(&arena);
    return st;
}
