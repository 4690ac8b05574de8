/* lib/convert/passes.h: what is done to a whole recipe before it is written: its keys get other names, and what a format cannot
 * hold is left out. New names and paths live in the recipe's arena. */
#ifndef TT_CONVERT_PASSES_H
#define TT_CONVERT_PASSES_H

#include "ckpt/recipe.h"

/* Another name for an item, borrowed. The recipe's index is to be made anew (tt_recipe_reindex). */
void tt_recipe_item_set_fqn(struct tt_recipe_item *item, const char *fqn);

/* Puts `prefix` before the fqn and the outermost part of the path of every item: with "model." the key layers.0.w becomes
 * model.layers.0.w. TT_EINVAL: two keys get the same name. */
TT_MUST_CHECK tt_status tt_recipe_add_prefix(struct tt_recipe *recipe, const char *prefix, struct tt_err *err);

/* Takes `prefix` from where it stands, and leaves the other keys as they are. Path parts that the prefix covers with their dots go
 * whole: "optimizer." makes ("optimizer", "state.w.step") to ("state.w.step"). A key that is nothing but the prefix stays.
 * TT_EINVAL: two keys get the same name, or no key starts with the prefix. */
TT_MUST_CHECK tt_status tt_recipe_strip_prefix(struct tt_recipe *recipe, const char *prefix, struct tt_err *err);

/* Forgets where the keys are nested: the fqn becomes the path. */
void tt_recipe_flatten(struct tt_recipe *recipe);

/* Leaves out what a .safetensors file cannot hold, and notes it as unused: values, and tensors of dtypes that the format does not
 * have. TT_EINVAL: a key __metadata__, which is the format's own. */
TT_MUST_CHECK tt_status tt_recipe_keep_safetensors(struct tt_recipe *recipe, struct tt_err *err);

#endif
