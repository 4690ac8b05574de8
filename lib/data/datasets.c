/* The names that training.dataset takes, and document ids. */
#include <string.h>
#include <strings.h>

#include "data/loader.h"

static const struct {
    const char *name;
    const char *path; /* NULL: streamed from a hub, over a network */
} datasets[] = {
    { "c4", NULL },
    { "c4_test", "tests/assets/c4_test" },
    { "c4_validation", NULL },
};

tt_status tt_dataset_path(const char **path, const char *dataset, const char *dataset_path, struct tt_err *err)
{
    for (size_t i = 0; i < sizeof datasets / sizeof *datasets; i++) {
        if (strcasecmp(dataset, datasets[i].name) != 0)
            continue;
        if (!datasets[i].path)
            return tt_err_set(err, TT_EUNSUPPORTED, "training.dataset %s is streamed over a network, which titan does not do; use "
                              "--training.dataset c4_test --training.dataset_path PATH for local files", dataset);
        *path = dataset_path && *dataset_path ? dataset_path : datasets[i].path;
        return TT_OK;
    }
    return tt_err_set(err, TT_EINVAL,
                      "training.dataset: expected c4_test (local files; c4 and c4_validation need a network), found "
                      "\"%s\"",
                      dataset);
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
