/* The names that training.dataset takes, and document ids. */
#include <string.h>
#include <strings.h>

#include "data/loader.h"

static const struct {
    const char *name, *path; /* path NULL: none but the one that is given */
    bool streamed;           /* by TorchTitan, from a hub: over a network, where no path is given */
} datasets[] = {
    { "c4", NULL, true },
    { "c4_test", "tests/assets/c4_test", false },
    { "c4_validation", NULL, true },
};

tt_status tt_dataset_path(const char **path, bool *streamed, const char *section, const char *dataset, const char *dataset_path,
                          struct tt_err *err)
{
    for (size_t i = 0; i < sizeof datasets / sizeof *datasets; i++) {
        if (strcasecmp(dataset, datasets[i].name) != 0)
            continue;
        const char *found = dataset_path && *dataset_path ? dataset_path : datasets[i].path;
        if (!found)
            return tt_err_set(err, TT_EUNSUPPORTED,
                              "%s.dataset %s is streamed over a network, which titan does not do; use "
                              "--%s.dataset_path PATH for local files",
                              section, dataset, section);
        *path = found;
        *streamed = datasets[i].streamed;
        return TT_OK;
    }
    return tt_err_set(err, TT_EINVAL, "%s.dataset: expected c4_test, c4 or c4_validation, found \"%s\"", section, dataset);
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
