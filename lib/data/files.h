/* lib/data/files.h: which files of a folder are a dataset's training data, chosen as Hugging Face datasets chooses them. */
#ifndef TT_DATA_FILES_H
#define TT_DATA_FILES_H

#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"

/* Every .json, .jsonl and .ndjson file (plain, .gz, .zst) below dir in byte order of the path, without hidden ones and folders that
 * start with "__". Where names of folders, else of files, tell splits apart (train, training; validation, valid, dev, val; test,
 * testing, eval, evaluation, as words), only those of the training split. TT_ENOENT: none. The array and names live in arena. */
TT_MUST_CHECK tt_status tt_data_files(struct tt_arena *arena, const char *dir, char ***paths, size_t *n, struct tt_err *err);

#endif
