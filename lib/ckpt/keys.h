/* lib/ckpt/keys.h: what a key of a TorchTitan checkpoint speaks of.
 *
 *   <param>                                    the model
 *   optimizer.state.<param>.<slot>             exp_avg and exp_avg_sq, of the parameter's shape; step, a scalar
 *   optimizer.param_groups.<param>.<setting>   values
 *   dataloader. ... lr_scheduler. ... train_state. ...                       values */
#ifndef TT_CKPT_KEYS_H
#define TT_CKPT_KEYS_H

#include <stddef.h>

enum tt_key_kind { TT_KEY_MODEL, TT_KEY_OPTIMIZER, TT_KEY_DATALOADER, TT_KEY_OTHER };

struct tt_key {
    enum tt_key_kind kind;
    const char *param; /* the parameter's fqn, within the key; NULL: it speaks of none */
    size_t nparam;
};

struct tt_key tt_key_of(const char *fqn);

#endif
