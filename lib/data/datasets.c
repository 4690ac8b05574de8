/* The names that training.dataset takes, and document ids. */
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "data/loader.h"

static const struct tt_dataset datasets[] = {
    { "c4", "allenai/c4", "en", "train", .is_streamed = true },
    { "c4_test", "tests/assets/c4_test", NULL, "train", .is_streamed = false },
    { "c4_validation", "allenai/c4", "en", "validation", .is_streamed = true },
};

const struct tt_dataset *tt_dataset_find(const char *name)
{
    for (size_t i = 0; i < sizeof datasets / sizeof *datasets; i++)
        if (strcasecmp(name, datasets[i].name) == 0)
            return &datasets[i];
    return NULL;
}

tt_status tt_dataset_path(const char **path, const char *section, const char *dataset, const char *dataset_path, struct tt_err *err)
{
    const struct tt_dataset *d = tt_dataset_find(dataset);
    if (!d)
        return tt_err_set(err, TT_EINVAL, "%s.dataset: expected c4_test, c4 or c4_validation, found \"%s\"", section, dataset);
    const char *where = dataset_path && *dataset_path ? dataset_path : d->path;
    if (where == d->path && d->is_streamed && !tt_path_is_dir(where))
        return tt_err_set(err, TT_EUNSUPPORTED,
                          "%s.dataset %s is streamed over a network, which titan does not do; give a local "
                          "copy of %s with --%s.dataset_path PATH",
                          section, dataset, d->path, section);
    *path = where;
    return TT_OK;
}

void tt_document_ids(int32_t *doc, const int32_t *input, int64_t nseq, int64_t seq_len, int32_t eos)
{
    for (int64_t b = 0; b < nseq; b++) {
        int32_t id = 0;
        for (int64_t t = 0; t < seq_len; t++) {
            doc[b * seq_len + t] = id;
            id += input[b * seq_len + t] == eos;
        }
    }
}
