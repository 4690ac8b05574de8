#include "train/activations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- names of modules ------------------------------------------------------------------------------------------------------- */

/* The modules that a parameter is in: its layer, "layers.3.", and each down to "layers.3.attention.wq", which alone can be a linear
 * layer. */
static tt_status check_modules(const char *name, const struct tt_param *p, const char *where, struct tt_err *err)
{
    const char *const last = strrchr(p->fqn, '.'), *const layer = strchr(strchr(p->fqn, '.') + 1, '.');

    for (const char *dot = layer; dot; dot = strchr(dot + 1, '.')) {
        const size_t n = (size_t)(dot - p->fqn) + (dot == layer);
        if ((dot != last || p->ndim != 2) && tt_keep_is_part(name, p->fqn, n))
            return tt_err_set(err, TT_EINVAL, "%s: expected parts of names of linear modules, found '%s', which is in %.*s", where,
                              name, (int)n, p->fqn);
    }
    return TT_OK;
}

static tt_status check_names(const struct tt_strs *names, const struct tt_params *params, const char *where, struct tt_err *err)
{
    tt_status status = TT_OK;
    for (size_t i = 0; i < names->n; i++)
        for (int j = 0; status == TT_OK && j < params->n; j++)
            if (params->p[j].layer >= 0)
                status = check_modules(names->s[i], &params->p[j], where, err);
    return status;
}

/* --- the choice ------------------------------------------------------------------------------------------------------------- */

static tt_status choose_selective(struct tt_keep *out, const struct tt_config *config, const struct tt_params *params,
                                  struct tt_err *err)
{
    const char *option = config->activation_checkpoint.selective_ac_option;

    if (strcmp(option, "op") == 0) {
        static const char key[] = "activation_checkpoint.per_op_sac_force_recompute_mm_shapes_by_fqns";
        const struct tt_strs *names = &config->activation_checkpoint.per_op_sac_force_recompute_mm_shapes_by_fqns;
        *out = (struct tt_keep){ .kind = TT_KEEP_PRODUCTS, .remade = names->s, .nremade = names->n };
        return check_names(names, params, tt_config_where(config, key), err);
    }
    if (!*option || option[strspn(option, "0123456789")])
        return tt_err_set(err, TT_EINVAL,
                          "%s: Invalid selective AC option: %s. Valid options: 'op' or a positive int representing layer frequency",
                          tt_config_where(config, "activation_checkpoint.selective_ac_option"), option);
    *out = (struct tt_keep){ .kind = TT_KEEP_LAYER_INPUTS, .every = strtoll(option, NULL, 10) }; /* too many are INT64_MAX */
    return TT_OK;
}

tt_status tt_activations_choose(struct tt_step_opts *out, const struct tt_config *config, const struct tt_params *params,
                                struct tt_err *err)
{
    switch (config->activation_checkpoint.mode) {
    case TT_AC_NONE: out->keep = (struct tt_keep){ .kind = TT_KEEP_DEAR }; break;
    case TT_AC_SELECTIVE: return choose_selective(&out->keep, config, params, err);
    case TT_AC_FULL: out->keep = (struct tt_keep){ .kind = TT_KEEP_LAYER_INPUTS }; break;
    case TT_AC_MEMORY_BUDGET:
        out->keep = (struct tt_keep){ .kind = TT_KEEP_MOST };
        out->keep_budget = config->activation_checkpoint.memory_budget;
        break;
    }
    return TT_OK;
}

void tt_activations_log(const struct tt_config *config, const struct tt_step *step, const struct tt_log *log)
{
    static const char *const modes[] = {
        [TT_AC_NONE] = "none", [TT_AC_SELECTIVE] = "selective", [TT_AC_FULL] = "full", [TT_AC_MEMORY_BUDGET] = "memory_budget"
    };
    static const double mib = 1 << 20;
    const struct tt_config_activation_checkpoint *ac = &config->activation_checkpoint;
    const struct tt_step_kept *kept = tt_step_kept(step);
    char option[64] = "";

    if (ac->mode == TT_AC_SELECTIVE)
        snprintf(option, sizeof option, " %s", ac->selective_ac_option);
    if (ac->mode == TT_AC_MEMORY_BUDGET) {
        snprintf(option, sizeof option, " %g", ac->memory_budget);
        tt_log_line(log, TT_LOG_INFO, "Selected %g budget option, which needs no compiled model here", ac->memory_budget);
    }
    if (ac->mode != TT_AC_NONE)
        tt_log_line(log, TT_LOG_INFO, "Applied %s activation checkpointing to the model", modes[ac->mode]);
    tt_log_line(log, TT_LOG_INFO,
                "Activations (%s%s): %.1f MiB kept from a forward to its backward, %.1f%% of the operations made again; with gradients "
                "and scratch %.1f MiB planned",
                modes[ac->mode], option, (double)kept->nbytes / mib, 100 * kept->remade, (double)tt_step_cost(step)->arena / mib);
}
