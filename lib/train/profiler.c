#include "train/profiler.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "value/json.h"

/* What a trace is made of, in the order in which it happened. */
struct op_record {
    const struct tt_call *call;
    int mb;    /* -1: not of a microbatch */
    bool eval; /* of a validation */
    double begin, end;
};

struct step_record {
    int64_t step;
    double begin, end;
};

/* --- the trace ------------------------------------------------------------------------------------------------------------- */

/* Microseconds from `zero`, of whole nanoseconds: what ends before another thing begins does so in a trace too. */
static double since(double zero, double seconds) { return 1e-3 * round(1e9 * (seconds - zero)); }

/* What all events begin with; tid: 1 for products, another for each queue of collectives. */
static void put_head(struct tt_buf *out, const char *phase, const char *category, const char *name, int tid, double ts)
{
    tt_buf_printf(out, ",\n{\"ph\": \"%s\", \"cat\": \"%s\", \"name\": \"%s\", \"pid\": %ld, \"tid\": %d, \"ts\": %.3f", phase,
                  category, name, (long)getpid(), tid, ts);
}

/* An event but for its arguments. */
static void put_event(struct tt_buf *out, const char *category, const char *name, double zero, double begin, double end)
{
    put_head(out, "X", category, name, 1, since(zero, begin));
    tt_buf_printf(out, ", \"dur\": %.3f, \"args\": {", since(zero, end) - since(zero, begin));
}

/* "Input Dims" and "Input type", or those of the outputs, as PyTorch has them; an operand that is not there is empty. */
static void put_operands(struct tt_buf *out, const char *which, const struct tt_valdesc *val, const tt_val *operand, int n)
{
    tt_buf_printf(out, ", \"%s Dims\": [", which);
    for (int i = 0; i < n; i++) {
        const struct tt_valdesc *d = operand[i] == TT_NO_VAL ? NULL : &val[operand[i]];
        tt_buf_str(out, i ? ", [" : "[");
        for (int k = 0; d && k < d->ndim; k++)
            tt_buf_printf(out, "%s%" PRId64, k ? ", " : "", d->size[k]);
        tt_buf_byte(out, ']');
    }
    tt_buf_printf(out, "], \"%s type\": [", which);
    for (int i = 0; i < n; i++)
        tt_buf_printf(out, "%s\"%s\"", i ? ", " : "", operand[i] == TT_NO_VAL ? "" : tt_dtype_name(val[operand[i]].dtype));
    tt_buf_byte(out, ']');
}

static uint64_t operand_bytes(const struct tt_valdesc *val, const tt_val *operand, int n)
{
    uint64_t nbytes = 0;
    for (int i = 0; i < n; i++)
        nbytes += operand[i] == TT_NO_VAL ? 0 : tt_val_nbytes(&val[operand[i]]);
    return nbytes;
}

static void put_op_args(struct tt_buf *out, const struct tt_profiler *p, const struct op_record *r)
{
    const struct tt_op *op = r->call->op;
    const struct tt_valdesc *val = r->call->val;
    const int param = tt_op_param(op, val);
    int nparams;
    const struct tt_step_param *params = tt_step_params(p->step, &nparams);

    tt_buf_printf(out, "\"phase\": \"%s\"", r->eval ? "validation" : tt_phase_name(op->phase));
    if (op->queue != TT_Q_COMPUTE)
        tt_buf_printf(out, ", \"queue\": \"%s\"", tt_queue_name(op->queue));
    if (r->mb >= 0 && !r->eval)
        tt_buf_printf(out, ", \"microbatch\": %d", r->mb);
    if (op->out[0] != TT_NO_VAL && val[op->out[0]].layer >= 0)
        tt_buf_printf(out, ", \"layer\": %d", val[op->out[0]].layer);
    if (param >= 0) {
        tt_buf_str(out, ", \"param\": ");
        tt_json_write_str(out, params[param].param->fqn, strlen(params[param].param->fqn));
    }
    put_operands(out, "Input", val, op->in, op->nin);
    put_operands(out, "Output", val, op->out, op->nout);
    tt_buf_printf(out, ", \"bytes\": %" PRIu64, operand_bytes(val, op->in, op->nin) + operand_bytes(val, op->out, op->nout));
    if (op->def->flops)
        tt_buf_printf(out, ", \"flops\": %" PRIu64, op->def->flops(op, val));
    tt_buf_str(out, "}}");
}

/* Collectives in flight overlap, which events of one thread must not: each is an asynchronous event with an id of its own, from its
 * launch until it has been waited for. */
static void put_op(struct tt_buf *out, const struct tt_profiler *p, const struct op_record *r, size_t id, double zero)
{
    const struct tt_op *op = r->call->op;
    const int tid = 1 + (int)op->queue;

    if (op->queue == TT_Q_COMPUTE) {
        put_event(out, "cpu_op", op->def->name, zero, r->begin, r->end);
        put_op_args(out, p, r);
        return;
    }
    put_head(out, "b", "cpu_op", op->def->name, tid, since(zero, r->begin));
    tt_buf_printf(out, ", \"id\": %zu, \"args\": {", id);
    put_op_args(out, p, r);
    put_head(out, "e", "cpu_op", op->def->name, tid, since(zero, r->end));
    tt_buf_printf(out, ", \"id\": %zu}", id);
}

static void put_step(struct tt_buf *out, const struct step_record *r, double zero)
{
    char name[40];
    snprintf(name, sizeof name, "ProfilerStep#%" PRId64, r->step - 1);
    put_event(out, "user_annotation", name, zero, r->begin, r->end);
    tt_buf_printf(out, "\"step\": %" PRId64 "}}", r->step);
}

static void put_trace(struct tt_buf *out, const struct tt_profiler *p)
{
    const struct step_record *steps = (const void *)p->steps.data;
    const struct op_record *ops = (const void *)p->ops.data;
    const long pid = (long)getpid();

    tt_buf_printf(
        out,
        "{\"schemaVersion\": 1, \"displayTimeUnit\": \"ms\", \"traceEvents\": [\n"
        "{\"ph\": \"M\", \"name\": \"process_name\", \"pid\": %ld, \"tid\": 0, \"args\": {\"name\": \"titan, rank %d\"}},\n"
        "{\"ph\": \"M\", \"name\": \"thread_name\", \"pid\": %ld, \"tid\": 1, \"args\": {\"name\": \"%s\"}}",
        pid, p->rank, pid, tt_queue_name(TT_Q_COMPUTE));
    for (size_t i = 0; i < p->steps.len / sizeof *steps; i++)
        put_step(out, &steps[i], steps[0].begin);
    for (size_t i = 0; i < p->ops.len / sizeof *ops; i++)
        put_op(out, p, &ops[i], i, steps[0].begin);
    tt_buf_str(out, "\n]}\n");
    out->failed |= p->steps.failed || p->ops.failed;
}

/* Writes the trace in progress as that of its last step, and begins the next. */
static tt_status dump(struct tt_profiler *p, int64_t step, struct tt_err *err)
{
    const double start = tt_seconds();
    struct tt_arena arena = { 0 };
    struct tt_buf text = { 0 };

    tt_log_line(p->log, TT_LOG_INFO, "Dumping profiler traces at step %" PRId64, step);
    const char *folder = tt_arena_printf(&arena, "%s/iteration_%" PRId64, p->folder, step);
    const char *path = folder ? tt_arena_printf(&arena, "%s/rank%d_trace.json", folder, p->rank) : NULL;
    put_trace(&text, p);
    tt_status st = path ? tt_buf_check(&text, path, err) : tt_err_nomem(err, 0, "the path of a trace");
    if (st == TT_OK)
        st = tt_mkdir_p(folder, err);
    if (st == TT_OK)
        st = tt_file_write_all(path, text.data, text.len, err);
    if (st == TT_OK)
        tt_log_line(p->log, TT_LOG_INFO, "Finished dumping profiler traces in %.2f seconds", tt_seconds() - start);
    tt_buf_clear(&p->steps);
    tt_buf_clear(&p->ops);
    tt_buf_release(&text);
    tt_arena_release(&arena);
    return st;
}

/* --- steps ----------------------------------------------------------------------------------------------------------------- */

static void take_op(void *ctx, const struct tt_call *call, int mb, double begin, double end)
{
    struct tt_profiler *p = ctx;
    const struct op_record record = { call, mb, false, begin, end };
    tt_buf_put(&p->ops, &record, sizeof record);
}

static void take_eval_op(void *ctx, const struct tt_call *call, int mb, double begin, double end)
{
    struct tt_profiler *p = ctx;
    const struct op_record record = { call, mb, true, begin, end };
    tt_buf_put(&p->ops, &record, sizeof record);
}

tt_status tt_profiler_open(struct tt_profiler *out, const struct tt_config *config, int rank, struct tt_step *step,
                           struct tt_step *eval, const struct tt_log *log, struct tt_err *err)
{
    if (!config->profiling.enable_profiling)
        return TT_OK;
    *out = (struct tt_profiler){
        .config = &config->profiling, .log = log, .rank = rank, .step = step, .eval = eval,
        .watch = { take_op, out }, .eval_watch = { take_eval_op, out },
    };
    out->folder = tt_path_join(&out->arena, config->job.dump_folder, config->profiling.save_traces_folder);
    if (!out->folder)
        return tt_err_nomem(err, 0, "the path of the traces");
    tt_log_line(log, TT_LOG_INFO, "Profiling active. Traces will be saved at %s", out->folder);
    return tt_mkdir_p(out->folder, err);
}

/* PyTorch's schedule: the last profiler_active of profile_freq steps. */
static bool is_recorded(const struct tt_profiler *p, int64_t step)
{
    return p->config && (step - 1) % p->config->profile_freq >= p->config->profile_freq - p->config->profiler_active;
}

static void watch(struct tt_profiler *p, bool on)
{
    tt_step_watch(p->step, on ? &p->watch : NULL);
    if (p->eval)
        tt_step_watch(p->eval, on ? &p->eval_watch : NULL);
}

void tt_profiler_begin(struct tt_profiler *p, int64_t step)
{
    if (!is_recorded(p, step))
        return;
    p->begin = tt_seconds();
    watch(p, true);
}

tt_status tt_profiler_end(struct tt_profiler *p, int64_t step, struct tt_err *err)
{
    if (!is_recorded(p, step))
        return TT_OK;
    const struct step_record record = { step, p->begin, tt_seconds() };
    tt_buf_put(&p->steps, &record, sizeof record);
    watch(p, false);
    return step % p->config->profile_freq == 0 ? dump(p, step, err) : TT_OK;
}

tt_status tt_profiler_finish(struct tt_profiler *p, struct tt_err *err)
{
    const struct step_record *steps = (const void *)p->steps.data;
    const size_t n = p->steps.len / sizeof *steps;
    return n > 0 ? dump(p, steps[n - 1].step, err) : TT_OK;
}

void tt_profiler_release(struct tt_profiler *p)
{
    tt_buf_release(&p->steps);
    tt_buf_release(&p->ops);
    tt_arena_release(&p->arena);
}
