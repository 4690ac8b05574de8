/* lib/base/file.h: files and folders, with errors that name the path. */
#ifndef TT_BASE_FILE_H
#define TT_BASE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* An input that is read at offsets: a regular file (symbolic links are followed), anything else is TT_EIO without blocking on
 * it. */
struct tt_infile {
    int fd;          /* -1: closed */
    uint64_t nbytes; /* when it was opened */
    char *path;      /* owned */
};

/* Where it cannot be opened, errno says why. */
TT_MUST_CHECK tt_status tt_infile_open(struct tt_infile *in, const char *path, struct tt_err *err);
void tt_infile_close(struct tt_infile *in); /* NULL, zeroed or closed: does nothing */

/* Memory for large reads and writes, uninitialized; NULL where there is none. free() frees it. It begins with a page: the kernel
 * fills what begins 8 to 31 bytes into one, as malloc's large blocks do, at a quarter of the speed on AMD's Zen (rep movsb). */
void *tt_io_buffer(size_t nbytes);
/* *buf, which is made now where it is NULL. */
void *tt_io_buffer_once(uint8_t **buf, size_t nbytes);

/* Exactly nbytes from offset. TT_EFORMAT where the file ends before (it is shorter than expected, or shrank while read). */
TT_MUST_CHECK tt_status tt_infile_pread(const struct tt_infile *in, void *dst, size_t nbytes, uint64_t offset, struct tt_err *err);

/* The same where the bytes are in the page cache. False where they are not, or the file system cannot tell; dst is then
 * undefined. For reads so small that waiting for each of them would take longer than reading all that lies between. */
bool tt_infile_pread_cached(const struct tt_infile *in, void *dst, size_t nbytes, uint64_t offset);

/* The whole of a small file; "-" is stdin. TT_EFORMAT over max_nbytes. */
TT_MUST_CHECK tt_status tt_file_read_all(struct tt_buf *out, const char *path, size_t max_nbytes, struct tt_err *err);

/* All of nbytes at offset, however many calls it takes. */
TT_MUST_CHECK tt_status tt_pwrite_full(int fd, const void *src, size_t nbytes, uint64_t offset, const char *path,
                                       struct tt_err *err);
TT_MUST_CHECK tt_status tt_write_full(int fd, const void *src, size_t nbytes, const char *path, struct tt_err *err);

/* A file that appears whole or not at all: written beside its final place under a temporary name, fsynced, renamed. What is there
 * already is replaced where it is a regular file, and is TT_EIO where it is not: a rename would put a file in the place of
 * /dev/null. */
#define TT_TMP_PREFIX ".titan-" /* and hexadecimal digits; a file's name ends with */
#define TT_TMP_SUFFIX ".tmp"

struct tt_outfile {
    int fd;
    char *path, *tmp; /* owned */
    bool no_replace;  /* set between open and commit: what is there by then stays, and the commit is TT_EIO */
};

TT_MUST_CHECK tt_status tt_outfile_open(struct tt_outfile *out, const char *path, struct tt_err *err);
/* fsync, close, rename, fsync of the folder. On error nothing is left behind; where only that last fsync fails the file stands. */
TT_MUST_CHECK tt_status tt_outfile_commit(struct tt_outfile *out, struct tt_err *err);
/* rename(2) of a file, but EEXIST where the new name is taken. */
int tt_rename_new(const char *from, const char *to);
void tt_outfile_abandon(struct tt_outfile *out); /* removes the temporary file; fine after commit or on a zeroed struct */

TT_MUST_CHECK tt_status tt_file_write_all(const char *path, const void *bytes, size_t nbytes, struct tt_err *err);

bool tt_path_exists(const char *path);
bool tt_path_is_dir(const char *path);
bool tt_path_same(const char *a, const char *b); /* the same file or folder, by whatever names */
bool tt_path_is_link(const char *path); /* the path itself, wherever it leads */
TT_MUST_CHECK tt_status tt_mkdir_p(const char *path, struct tt_err *err);
TT_MUST_CHECK tt_status tt_fsync_dir(const char *path, struct tt_err *err);
/* Removes a file, or a folder with all below it; symbolic links are removed, not followed. Absent is TT_OK. */
TT_MUST_CHECK tt_status tt_remove_all(const char *path, struct tt_err *err);

/* Names in a folder without "." and "..", in byte order; the array and the names live in the arena. */
TT_MUST_CHECK tt_status tt_dir_list(struct tt_arena *arena, const char *path, char ***names, size_t *n, struct tt_err *err);

/* a/b, without doubling slashes; b where b is absolute or a is "". In the arena, NULL without memory. */
char *tt_path_join(struct tt_arena *arena, const char *a, const char *b);
/* The last component (borrowed, into path); the part before it ("." where there is none). */
const char *tt_path_base(const char *path);
char *tt_path_dir(struct tt_arena *arena, const char *path);
/* The folder itself, or the first above it that is there already; NULL without memory, or of NULL. */
const char *tt_path_existing_dir(struct tt_arena *arena, const char *folder);
/* Whether a name that a file gives for another beside it is one component: not empty, "." or "..", no '/', no control character. */
bool tt_path_is_name(const char *s);
bool tt_has_suffix(const char *s, const char *suffix);

#endif
