/* lib/data/card.h: what the README.md of a Hugging Face dataset says about its files, in the YAML between its first two "---" lines:
 *
 *   configs:
 *   - config_name: en
 *     data_files:                       also one pattern or a list of them, which are those of split train
 *     - split: train
 *       path: en/c4-train.*.json.gz     also a list
 *     data_dir: ...                     where there are no data_files: the folder whose names tell the splits
 *   dataset_info: [{config_name: en, features: [...]}]
 *
 * Source: huggingface.co/docs/hub/datasets-manual-configuration, and what datasets 5.2 reads. */
#ifndef TT_DATA_CARD_H
#define TT_DATA_CARD_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "value/value.h"

struct tt_card {
    const char *path;                  /* of the README, for messages */
    const struct tt_value *data_files; /* NULL: none named */
    const char *data_dir;              /* "": the folder itself */
    bool has_features;                 /* the columns and their types are given */
};

/* What dir/README.md has for a config; config NULL: the only one, the one named "default" or marked so. *found false: there is no such
 * file, or it names no configs. TT_ENOENT: configs, but not this one; TT_EFORMAT: not of the form above. All lives in arena. */
TT_MUST_CHECK tt_status tt_card_read(struct tt_card *out, bool *found, struct tt_arena *arena, const char *dir, const char *config,
                                     struct tt_err *err);

/* The i-th pattern of a split, and the name of the i-th split; NULL: there are no more. */
const char *tt_card_pattern(const struct tt_card *card, const char *split, size_t i);
const char *tt_card_split(const struct tt_card *card, size_t i);

#endif
