/* lib/ckpt/manifest.h: the SHA-256 of each file of a checkpoint, in the format of sha256sum: 64 hex digits, two blanks, the file's
 * name; a name with \, newline or carriage return has them escaped and a \ before the digits. `sha256sum -c` checks it.
 *
 * The files of a folder are all regular files in it and below (symbolic links to files are followed, those to folders are not), config
 * and tokenizer among them, but for the manifest itself. Names begin as the checkpoint was given: what checks them does so from the
 * same folder. */
#ifndef TT_CKPT_MANIFEST_H
#define TT_CKPT_MANIFEST_H

#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "ckpt/task.h"

struct tt_manifest_line {
    const char *name; /* as written; */
    const char *plain; /* without "./" in front and doubled slashes */
    char hex[65];
};

/* Reads lines of `text`; what is in *lines lives in the arena. TT_EFORMAT names `where` and the line. */
TT_MUST_CHECK tt_status tt_manifest_parse(struct tt_manifest_line **lines, size_t *n, struct tt_arena *arena, const char *text,
                                          size_t nbytes, const char *where, struct tt_err *err);

/* Writes the manifest of all paths to the file ("-": stdout), whole or not at all. */
TT_MUST_CHECK tt_status tt_manifest_write(const char *file, const char *const *paths, size_t npaths, const struct tt_task *task,
                                          struct tt_err *err);

/* Prints a line for each file of the paths that differs from the manifest ("-": stdin), is not in it, or is in it but not there, and one
 * that counts them; *good where there are none. TT_EINVAL: it has none of the files. */
TT_MUST_CHECK tt_status tt_manifest_check(FILE *out, const char *file, const char *const *paths, size_t npaths,
                                          const struct tt_task *task, bool *good, struct tt_err *err);

#endif
