#include "train/setup.h"

#include <inttypes.h>

#include "model/model.h"

tt_status tt_setup_family(const struct tt_family **family, const struct tt_config *config, struct tt_err *err)
{
    const char *name = config->model.name, *near;

    *family = tt_family_find(name);
    if (*family && tt_model_forward(*family))
        return TT_OK;
    if (*family)
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: titan cannot train %s yet: it has its tensors, but not its forward function",
                          tt_config_where(config, "model.name"), name);
    near = tt_family_nearest(name);
    return tt_err_set(err, TT_EINVAL, "%s: titan has no model family '%s'%s%s%s", tt_config_where(config, "model.name"), name,
                      near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

tt_status tt_setup_model(const struct tt_family **family, struct tt_model_args *args, struct tt_params *params,
                         struct tt_arena *arena, const struct tt_config *config, const struct tt_log *log, struct tt_err *err)
{
    const struct tt_config_model *model = &config->model;
    struct tt_buf text = { 0 };

    tt_status status = tt_setup_family(family, config, err);
    if (status == TT_OK)
        status = tt_model_args_load(args, model->name, model->flavor, err);
    if (status != TT_OK)
        return status;
    if (config->training.seq_len > args->max_seq_len)
        tt_log_line(log, TT_LOG_WARNING, "Sequence length %" PRId64 " exceeds original maximum %" PRId64 ".",
                    config->training.seq_len, args->max_seq_len);
    args->max_seq_len = config->training.seq_len;

    tt_buf_printf(&text, "Building %s %swith ", model->name, model->flavor);
    status = tt_model_args_json(&text, model->name, args, err);
    if (status == TT_OK)
        tt_log_text(log, TT_LOG_INFO, tt_buf_cstr(&text));
    tt_buf_release(&text);
    if (status == TT_OK)
        status = tt_params_make(params, arena, *family, args, err);
    return status;
}
