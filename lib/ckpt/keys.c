#include "ckpt/keys.h"

#include <stdbool.h>
#include <string.h>

static const struct row {
    const char *prefix;
    enum tt_key_kind kind;
    bool has_param; /* between the prefix and the last dot */
} rows[] = {
    { "optimizer.state.", TT_KEY_OPTIMIZER, true },
    { "optimizer.param_groups.", TT_KEY_OPTIMIZER, true },
    { "optimizer.", TT_KEY_OPTIMIZER, false },
    { "dataloader.", TT_KEY_DATALOADER, false },
    { "lr_scheduler.", TT_KEY_OTHER, false },
    { "train_state.", TT_KEY_OTHER, false },
};

struct tt_key tt_key_of(const char *fqn)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const size_t n = strlen(rows[i].prefix);
        if (strncmp(fqn, rows[i].prefix, n) != 0)
            continue;
        const char *last = strrchr(fqn + n, '.');
        if (rows[i].has_param && last && last > fqn + n)
            return (struct tt_key){ rows[i].kind, fqn + n, (size_t)(last - fqn) - n };
        return (struct tt_key){ .kind = rows[i].kind };
    }
    return (struct tt_key){ TT_KEY_MODEL, fqn, strlen(fqn) };
}
