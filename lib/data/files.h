/* lib/data/files.h: which files of a folder are those of a dataset's split, chosen and ordered as Hugging Face datasets 5.2 does. A path
 * that is a file, or "-", is that one file.
 *
 * A README.md with configs (card.h) names patterns. Without one, the first of these that any file matches tells the splits apart:
 *
 *   data/<split>-NNNNN-of-NNNNN*.*, then names of folders, then names of files that have a split's word (train, training; validation,
 *   valid, dev, val; test, testing, eval, evaluation) between separators; and where nothing does, all files are the split train
 *
 * A split's files come pattern by pattern, each pattern's in byte order of the path, a file that two match twice. Patterns go over
 * components of paths: * and ? and [...] as in glob.h, ** as a component for any number of them. Only files whose names end in .json,
 * .jsonl or .ndjson (plain, .gz, .zst) are data; hidden ones and folders that start with "__" do not count. */
#ifndef TT_DATA_FILES_H
#define TT_DATA_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"

struct tt_data_files {
    char **paths; /* (n) */
    size_t n;
    const char *first; /* the first file of the dataset's first split, from which datasets takes the columns */
    bool has_features; /* unless a README.md has them */
};

/* config NULL: the default one. Without a README.md any config is the whole folder, which TorchTitan refuses where it asks for one.
 * TT_ENOENT: no such split or config, or no files. All lives in arena. */
TT_MUST_CHECK tt_status tt_data_files(struct tt_data_files *out, struct tt_arena *arena, const char *path, const char *config,
                                      const char *split, struct tt_err *err);

#endif
