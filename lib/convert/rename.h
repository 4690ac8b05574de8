/* lib/convert/rename.h: other names for the keys of a recipe, by substitutions like sed's.
 *
 *   s/PATTERN/REPLACEMENT/FLAGS    PCRE2, UTF-8; any punctuation in place of '/', "\/" for it inside; $1, ${name} in the replacement
 *                                  (PCRE2_SUBSTITUTE_EXTENDED); flags g (every match, not the first alone), i (no case)
 *
 * What is renamed is a parameter's fqn: all of a model's key, and the parameter in the optimizer's keys
 * (optimizer.state.<param>.exp_avg); lr_scheduler, train_state and dataloader keep theirs. Any other key is renamed as a whole.
 * The path follows: a dot between two of its parts stays one where it is outside of what a pattern matched; else the
 * parts are one. */
#ifndef TT_CONVERT_RENAME_H
#define TT_CONVERT_RENAME_H

#include "ckpt/recipe.h"

/* Whether it is such a substitution; the message says what is wrong with it (struct tt_opt's check). */
TT_MUST_CHECK tt_status tt_rename_check(const char *rule, struct tt_err *err);

/* One after another. TT_EINVAL: a rule that no key matches, a key without a name, two keys of one name. */
TT_MUST_CHECK tt_status tt_recipe_rename(struct tt_recipe *recipe, const char *const *rules, size_t nrules, struct tt_err *err);

#endif
