/* What is asked for and not honoured, old names, and TorchTitan's rule about degrees. */
#include <inttypes.h>
#include <string.h>

#include "config/config_private.h"
#include "value/json.h"

/* --- what is not honoured -------------------------------------------------------------------------------------------------- */

/* Whether the setting has the value with which nothing is asked for. */
static bool is_off(const struct tt_setting *s, const struct tt_config *config)
{
    const void *field = (const char *)config + s->offset;
    if (s->kind == TT_SET_STRS)
        return ((const struct tt_strs *)field)->n == 0 || strcmp(((const struct tt_strs *)field)->s[0], "") == 0;
    if (s->kind == TT_SET_BOOL)
        return !*(const bool *)field;
    if (!s->off)
        return false;

    /* `off` is read as an argument would be, and compared as values are. */
    struct tt_arena arena = { 0 };
    struct tt_config other = *config;
    const bool ok = tt_setting_from_text(s, &other, &arena, s->off, s->key, NULL) == TT_OK;
    const struct tt_value *a = tt_setting_value(s, config, &arena), *b = tt_setting_value(s, &other, &arena);
    const bool off = ok && a && b && tt_value_equal(a, b);
    tt_arena_release(&arena);
    return off;
}

static bool is_asked_for(const struct tt_setting *s, const struct tt_config *config)
{
    if (!config->origin[s - tt_settings].where || is_off(s, config))
        return false;
    const struct tt_setting *when = s->when ? tt_setting_find(s->when, strlen(s->when)) : NULL;
    return !when || !is_off(when, config);
}

static void write_value(struct tt_buf *out, const struct tt_setting *s, const struct tt_config *config)
{
    struct tt_arena arena = { 0 };
    const struct tt_value *v = tt_setting_value(s, config, &arena);
    if (v)
        tt_json_write(out, v, 0);
    tt_arena_release(&arena);
}

static tt_status check_honour(const struct tt_setting *s, const struct tt_config *config, const struct tt_log *log,
                              struct tt_err *err)
{
    if ((s->honour != TT_IGNORED && s->honour != TT_REFUSED) || !is_asked_for(s, config))
        return TT_OK;
    const char *where = tt_config_where(config, s->key);
    struct tt_buf value = { 0 };
    tt_status st = TT_OK;

    write_value(&value, s, config);
    if (s->honour == TT_IGNORED)
        tt_log_line(log, TT_LOG_WARNING, "%s: %s is ignored: %s", where, tt_buf_cstr(&value), s->why);
    else
        st = tt_err_set(err, TT_EINVAL, "%s: %s is not supported: %s", where, tt_buf_cstr(&value), s->why);
    tt_buf_release(&value);
    return st;
}

/* --- one setting about another --------------------------------------------------------------------------------------------- */

static void take_tokenizer_path(struct tt_config *config, const struct tt_log *log)
{
    if (!config->model.tokenizer_path || !*config->model.tokenizer_path)
        return;
    tt_log_line(log, TT_LOG_WARNING, "%s is the old name of model.hf_assets_path, which is set to it",
                tt_config_where(config, "model.tokenizer_path"));
    config->model.hf_assets_path = config->model.tokenizer_path;
}

/* What TorchTitan leaves to be found out. */
static void warn_of_early_step(const struct tt_config *config, const struct tt_log *log)
{
    if (config->optimizer.early_step_in_backward)
        tt_log_line(log, TT_LOG_WARNING,
                    "%s: parameters are updated in the backward pass: training.max_norm clips nothing, grad_norm is 0, and with "
                    "gradient accumulation every microbatch is a step of the optimizer",
                    tt_config_where(config, "optimizer.early_step_in_backward"));
}

/* The names of a checkpoint's states; the data loader's has been "data_loader" too. */
static tt_status check_excluded(struct tt_config *config, struct tt_arena *arena, struct tt_err *err)
{
    static const char *const states[] = { "model", "optimizer", "lr_scheduler", "dataloader", "train_state" };
    const struct tt_strs *given = &config->checkpoint.exclude_from_loading;
    const char *where = tt_config_where(config, "checkpoint.exclude_from_loading");
    const char **names = tt_arena_array(arena, given->n, sizeof *names);
    size_t n = 0;

    if (!names)
        return tt_err_nomem(err, given->n * sizeof *names, where);
    for (size_t i = 0; i < given->n; i++) {
        const char *name = strcmp(given->s[i], "data_loader") == 0 ? "dataloader" : given->s[i];
        size_t known = 0;
        while (known < sizeof states / sizeof *states && strcmp(states[known], name) != 0)
            known++;
        if (*name && known == sizeof states / sizeof *states)
            return tt_err_set(err, TT_EINVAL,
                              "%s: expected names of model, optimizer, lr_scheduler, dataloader, train_state, found '%s'", where,
                              name);
        if (*name)
            names[n++] = name;
    }
    config->checkpoint.exclude_from_loading = (struct tt_strs){ n, names };
    return TT_OK;
}

/* What PyTorch's schedule of a profiler takes. */
static tt_status check_profiling(const struct tt_config *config, struct tt_err *err)
{
    const struct tt_config_profiling *p = &config->profiling;
    if (p->enable_profiling && p->profiler_active < 1)
        return tt_err_set(err, TT_EINVAL, "%s: expected at least 1 step to record, found %" PRId64,
                          tt_config_where(config, "profiling.profiler_active"), p->profiler_active);
    if (p->enable_profiling && p->profile_freq - p->profiler_active < p->profiler_warmup)
        return tt_err_set(
            err, TT_EINVAL,
            "%s: profile_freq must be greater than or equal to warmup + active (%" PRId64 " < %" PRId64 " + %" PRId64 ")",
            tt_config_where(config, "profiling.profile_freq"), p->profile_freq, p->profiler_warmup, p->profiler_active);
    return TT_OK;
}

tt_status tt_config_check(struct tt_config *config, struct tt_arena *arena, const struct tt_log *log, struct tt_err *err)
{
    tt_status st = check_excluded(config, arena, err);
    if (st == TT_OK)
        st = check_profiling(config, err);
    /* Errors before warnings: a run that does not start need not be told what it would have ignored. */
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; st == TT_OK && i < tt_nsettings; i++)
            if ((tt_settings[i].honour == TT_REFUSED) == (pass == 0))
                st = check_honour(&tt_settings[i], config, log, err);
    if (st == TT_OK) {
        take_tokenizer_path(config, log);
        warn_of_early_step(config, log);
    }
    return st;
}

/* --- degrees --------------------------------------------------------------------------------------------------------------- */

static tt_status check_degree(const struct tt_config *config, const char *key, int64_t degree, bool may_be_left, struct tt_err *err)
{
    if (degree >= 1 || (may_be_left && degree == -1))
        return TT_OK;
    return tt_err_set(err, TT_EINVAL, "%s: expected a degree of at least 1%s, found %" PRId64, tt_config_where(config, key),
                      may_be_left ? ", or -1" : "", degree);
}

static tt_status check_degrees(const struct tt_config *config, struct tt_err *err)
{
    const struct tt_config_parallelism *p = &config->parallelism;
    const struct {
        const char *key;
        int64_t degree;
    } rows[] = {
        { "parallelism.data_parallel_replicate_degree", p->data_parallel_replicate_degree },
        { "parallelism.data_parallel_shard_degree", p->data_parallel_shard_degree },
        { "parallelism.tensor_parallel_degree", p->tensor_parallel_degree },
        { "parallelism.pipeline_parallel_degree", p->pipeline_parallel_degree },
        { "parallelism.context_parallel_degree", p->context_parallel_degree },
        { "parallelism.expert_parallel_degree", p->expert_parallel_degree },
        { "parallelism.expert_tensor_parallel_degree", p->expert_tensor_parallel_degree },
    };
    tt_status st = TT_OK;
    for (size_t i = 0; st == TT_OK && i < sizeof rows / sizeof *rows; i++)
        st = check_degree(config, rows[i].key, rows[i].degree, i == 1, err);
    return st;
}

/* Degrees that titan does not have. */
static tt_status check_ones(const struct tt_config *config, struct tt_err *err)
{
    for (size_t i = 0; i < tt_nsettings; i++) {
        const struct tt_setting *s = &tt_settings[i];
        int64_t degree;
        if (s->honour != TT_ONE)
            continue;
        memcpy(&degree, (const char *)config + s->offset, sizeof degree);
        if (degree > 1)
            return tt_err_set(err, TT_EINVAL, "%s: %" PRId64 " is not supported: %s", tt_config_where(config, s->key), degree,
                              s->why);
    }
    return TT_OK;
}

/* a * b for degrees, which are positive; where that does not fit, no number of processes is as large. */
static int64_t times(int64_t a, int64_t b)
{
    int64_t product;
    return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

tt_status tt_config_check_ranks(const struct tt_config *config, int64_t nranks, struct tt_err *err)
{
    const struct tt_config_parallelism *p = &config->parallelism;
    const int64_t replicate = p->data_parallel_replicate_degree, cp = p->context_parallel_degree, tp = p->tensor_parallel_degree,
                  pp = p->pipeline_parallel_degree;
    tt_status st = check_degrees(config, err);
    if (st == TT_OK)
        st = check_ones(config, err); /* before more processes are asked for, which would be of no use */
    if (st != TT_OK)
        return st;

    const int64_t others = times(times(replicate, cp), times(tp, pp));
    const int64_t shard = p->data_parallel_shard_degree == -1 ? nranks / others : p->data_parallel_shard_degree;
    if (times(others, shard) != nranks)
        return tt_err_set(err, TT_EINVAL,
                          "Invalid parallel dims: dp_replicate(%" PRId64 ") * dp_shard(%" PRId64 ") * cp(%" PRId64 ") * tp(%" PRId64
                          ") * pp(%" PRId64 ") != WORLD_SIZE(%" PRId64 ")",
                          replicate, shard, cp, tp, pp, nranks);
    const int64_t seq_len = config->training.seq_len;
    if (seq_len % times(times(2, cp), tp) != 0)
        return tt_err_set(err, TT_EINVAL,
                          "%s: Sequence length %" PRId64 " must be divisible by the product of TP degree (%" PRId64
                          ") and 2 * CP degree (%" PRId64 ").",
                          tt_config_where(config, "training.seq_len"), seq_len, tp, cp);
    return TT_OK;
}
