#include "train/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "train/memory.h"
#include "train/peak.h"

static const struct tt_colors no_colors = { "", "", "", "", "", "", "", "", "" };
static const struct tt_colors terminal_colors = {
    .red = "\033[31m",
    .green = "\033[32m",
    .yellow = "\033[33m",
    .blue = "\033[34m",
    .magenta = "\033[35m",
    .cyan = "\033[36m",
    .orange = "\033[38;2;180;60;0m",
    .turquoise = "\033[38;2;54;234;195m",
    .reset = "\033[39m",
};

static const double GIB = 1024.0 * 1024.0 * 1024.0;

const struct tt_colors *tt_colors(bool on) { return on ? &terminal_colors : &no_colors; }

/* --- numbers as Python writes them --------------------------------------------------------------------------------------- */

/* A number that is none has no sign in Python. */
static void put_fixed(struct tt_buf *out, int width, int decimals, double x)
{
    if (isnan(x))
        tt_buf_printf(out, "%*s", width, "nan");
    else
        tt_buf_printf(out, "%*.*f", width, decimals, x);
}

/* The digits of a number, grouped by three before its point. */
static void put_grouped(struct tt_buf *out, const char *digits)
{
    if (*digits == '-') {
        tt_buf_byte(out, '-');
        digits++;
    }
    const size_t whole = strspn(digits, "0123456789");
    for (size_t i = 0; i < whole; i++) {
        if (i > 0 && (whole - i) % 3 == 0)
            tt_buf_byte(out, ',');
        tt_buf_byte(out, (uint8_t)digits[i]);
    }
    tt_buf_str(out, digits + whole);
}

void tt_buf_thousands(struct tt_buf *out, int64_t n)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%" PRId64, n);
    put_grouped(out, digits);
}

static void put_grouped_fixed(struct tt_buf *out, int decimals, double x)
{
    char digits[400];
    snprintf(digits, sizeof digits, "%.*f", decimals, x);
    put_grouped(out, digits);
}

/* --- the lines ----------------------------------------------------------------------------------------------------------- */

static void put_memory(struct tt_buf *out, int width, uint64_t used, uint64_t total)
{
    put_fixed(out, width, 2, (double)used / GIB);
    tt_buf_str(out, "GiB(");
    put_fixed(out, 0, 2, 100.0 * (double)used / (double)total);
    tt_buf_str(out, "%)");
}

void tt_step_line_format(struct tt_buf *out, const struct tt_step_line *line, const struct tt_colors *c)
{
    tt_buf_printf(out, "%sstep: %2" PRId64 "  %sloss: ", c->red, line->report.step, c->green);
    put_fixed(out, 8, 5, (double)line->report.loss);
    tt_buf_printf(out, "  %sgrad_norm: ", c->orange);
    put_fixed(out, 7, 4, (double)line->report.grad_norm);
    tt_buf_printf(out, "  %smemory: ", c->turquoise);
    put_memory(out, 5, line->memory, line->memory_total);
    tt_buf_printf(out, "  %stps: ", c->blue);
    put_grouped_fixed(out, 0, line->tps);
    tt_buf_printf(out, "  %stflops: ", c->cyan);
    put_grouped_fixed(out, 2, line->tflops);
    tt_buf_printf(out, "  %smfu: ", c->magenta);
    put_fixed(out, 0, 2, line->mfu);
    tt_buf_printf(out, "%%%s", c->reset);
}

void tt_validation_line_format(struct tt_buf *out, const struct tt_validation_line *line, const struct tt_colors *c)
{
    tt_buf_printf(out, "%svalidate step: %2" PRId64 "  %sloss: ", c->yellow, line->report.step, c->green);
    put_fixed(out, 7, 4, line->report.loss);
    tt_buf_printf(out, "  %smemory: ", c->turquoise);
    put_memory(out, 5, line->memory, line->memory_total);
    tt_buf_printf(out, "  %stps: ", c->blue);
    put_grouped_fixed(out, 0, line->tps);
    tt_buf_str(out, c->reset);
}

/* --- a run's metrics ----------------------------------------------------------------------------------------------------- */

void tt_metrics_init(struct tt_metrics *out, const struct tt_log *log, bool colors, int64_t log_freq)
{
    *out = (struct tt_metrics){
        .log = log,
        .colors = tt_colors(colors),
        .log_freq = log_freq,
        .sharers = 1,
        .memory_total = tt_memory_total(),
        .line = { .start = tt_seconds() },
    };
    out->step = out->line;
    tt_log_line(log, TT_LOG_INFO, "CPU capacity: cpu with %.2fGiB memory", (double)out->memory_total / GIB);
    tt_memory_reset_peak();
}

void tt_metrics_log_model(const struct tt_metrics *metrics)
{
    struct tt_buf text = { 0 };
    put_memory(&text, 0, tt_memory_peak(), metrics->memory_total);
    tt_log_line(metrics->log, TT_LOG_INFO, "CPU memory usage for model: %s", tt_buf_cstr(&text));
    tt_buf_release(&text);
}

/* What stands behind the last end of a line, 0 where there is none. */
static off_t whole_lines(int fd, off_t nbytes)
{
    char byte = '\0';
    while (nbytes > 0 && pread(fd, &byte, 1, nbytes - 1) == 1 && byte != '\n')
        nbytes--;
    return nbytes;
}

/* A run that was cut short, by a full disk say, may have left part of a line: what is added would be part of it. */
static tt_status drop_torn_line(const char *path, struct tt_err *err)
{
    struct stat st;
    tt_status status = TT_OK;

    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return TT_OK;
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || ftruncate(fd, whole_lines(fd, st.st_size)) != 0)
        status = tt_err_errno(err, errno, "%s", path);
    if (fd >= 0)
        close(fd);
    return status;
}

tt_status tt_metrics_open(struct tt_metrics *metrics, const struct tt_config *config, int rank, bool resumed, struct tt_err *err)
{
    const char *path = config->metrics.save_jsonl;
    if (path) {
        const tt_status status = resumed && strcmp(path, "-") != 0 ? drop_torn_line(path, err) : TT_OK;
        if (status != TT_OK)
            return status;
        FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, resumed ? "a" : "w");
        if (!file)
            return tt_err_errno(err, errno, "%s", path);
        metrics->jsonl = file;
        metrics->jsonl_path = path;
    }
    return config->metrics.enable_tensorboard ? tt_tensorboard_open(&metrics->tensorboard, config, rank, metrics->log, err) : TT_OK;
}

/* Does anybody hear of it? */
static bool is_heard(const struct tt_metrics *m) { return m->log || m->jsonl || m->tensorboard.path; }

bool tt_metrics_has_line(const struct tt_metrics *m, int64_t step) { return step == 1 || step % m->log_freq == 0; }

static void count(struct tt_metrics_span *span, int64_t ntokens, double seconds)
{
    span->ntokens += ntokens;
    span->nbatches++;
    span->data_seconds += seconds;
}

void tt_metrics_count(struct tt_metrics *metrics, int64_t ntokens, double seconds)
{
    count(&metrics->line, ntokens, seconds);
    count(&metrics->step, ntokens, seconds);
}

static double tokens_a_second(const struct tt_metrics *m, int64_t ntokens, double seconds)
{
    return (double)ntokens / seconds / m->sharers;
}

/* JSON has no word for what is not finite; null says that there is no number. */
static void put_json(struct tt_buf *out, const char *name, int digits, double x)
{
    if (isfinite(x))
        tt_buf_printf(out, ", \"%s\": %.*g", name, digits, x);
    else
        tt_buf_printf(out, ", \"%s\": null", name);
}

/* Appends an object's line to the file, and gives up the text. */
static tt_status put_line(struct tt_metrics *m, struct tt_buf *out, struct tt_err *err)
{
    tt_status status = tt_buf_check(out, "a line of metrics", err);
    if (status == TT_OK && (fwrite(out->data, 1, out->len, m->jsonl) != out->len || fflush(m->jsonl) != 0))
        status = tt_err_errno(err, errno, "%s", m->jsonl_path);
    tt_buf_release(out);
    return status;
}

static tt_status write_json(struct tt_metrics *m, const struct tt_step_line *line, struct tt_err *err)
{
    struct tt_buf out = { 0 };
    tt_buf_printf(&out, "{\"step\": %" PRId64, line->report.step);
    put_json(&out, "loss", 9, (double)line->report.loss); /* 9 digits keep a float32, 17 a float64 */
    put_json(&out, "grad_norm", 9, (double)line->report.grad_norm);
    put_json(&out, "lr", 17, line->report.lr);
    tt_buf_printf(&out, ", \"ntokens\": %" PRId64, line->report.ntokens_seen);
    put_json(&out, "tps", 9, line->tps);
    put_json(&out, "tflops", 9, line->tflops);
    put_json(&out, "mfu", 9, line->mfu);
    put_json(&out, "seconds", 9, line->end_to_end);
    put_json(&out, "data_seconds", 9, m->step.data_seconds);
    tt_buf_printf(&out, ", \"memory\": %" PRIu64 "}\n", line->memory);
    return put_line(m, &out, err);
}

/* No name but step's and memory's is one of a step's object. */
static tt_status write_validation_json(struct tt_metrics *m, const struct tt_validation_line *line, struct tt_err *err)
{
    const struct tt_validation_report *r = &line->report;
    struct tt_buf out = { 0 };
    tt_buf_printf(&out, "{\"step\": %" PRId64, r->step);
    put_json(&out, "validation_loss", 9, r->loss);
    tt_buf_printf(&out, ", \"validation_ntokens\": %" PRId64, r->ntokens);
    put_json(&out, "validation_tps", 9, tokens_a_second(m, r->ntokens, r->seconds));
    put_json(&out, "validation_seconds", 9, r->seconds);
    tt_buf_printf(&out, ", \"memory\": %" PRIu64 "}\n", line->memory);
    return put_line(m, &out, err);
}

/* Between two steps, so that neither the start nor a step waits for it; its memory is not the steps'. */
static tt_status measure_peak(struct tt_metrics *m, struct tt_err *err)
{
    const int nthreads = tt_pool_nthreads(m->pool);
    const tt_status status = tt_peak_flops(&m->peak_flops, m->pool, m->product_dtype, err);
    if (status == TT_OK)
        tt_log_line(m->log, TT_LOG_INFO, "Peak FLOPS used for computing MFU: %.3e (measured: %s products on %d thread%s)",
                    m->peak_flops, tt_dtype_name(m->product_dtype), nthreads, nthreads == 1 ? "" : "s");
    return status;
}

static struct tt_step_line measure(const struct tt_metrics *m, const struct tt_step_report *report,
                                   const struct tt_metrics_span *span, uint64_t memory, double now)
{
    const double time = now - span->start, tps = tokens_a_second(m, span->ntokens, time), flops = (double)m->flops_per_token * tps;
    return (struct tt_step_line){
        .report = *report,
        .memory = memory,
        .memory_total = m->memory_total,
        .tps = tps,
        .tflops = flops / 1e12,
        .mfu = 100 * flops / m->peak_flops,
        .end_to_end = time / (double)span->nsteps,
        .data_loading = span->data_seconds / (double)span->nbatches,
        .data_loading_pct = 100 * span->data_seconds / time,
    };
}

/* TorchTitan's tags. A CPU has no allocator of its own beside the system's: what is active and what is reserved are the same, and
 * nothing is tried again. */
static tt_status write_tensorboard(struct tt_metrics *m, const struct tt_step_line *line, struct tt_err *err)
{
    const double gib = (double)line->memory / GIB, percent = 100.0 * (double)line->memory / (double)line->memory_total;
    const struct tt_tfscalar scalars[] = {
        { "loss_metrics/global_avg_loss", (double)line->report.loss },
        { "loss_metrics/global_max_loss", (double)line->report.max_loss },
        { "grad_norm", (double)line->report.grad_norm },
        { "throughput(tps)", line->tps },
        { "tflops", line->tflops },
        { "mfu(%)", line->mfu },
        { "time_metrics/end_to_end(s)", line->end_to_end },
        { "time_metrics/data_loading(s)", line->data_loading },
        { "time_metrics/data_loading(%)", line->data_loading_pct },
        { "memory/max_active(GiB)", gib },
        { "memory/max_active(%)", percent },
        { "memory/max_reserved(GiB)", gib },
        { "memory/max_reserved(%)", percent },
        { "memory/num_alloc_retries", 0 },
        { "memory/num_ooms", 0 },
        { "n_tokens_seen", (double)line->report.ntokens_seen },
        { "lr", line->report.lr },
    };
    return tt_tensorboard_write(&m->tensorboard, line->report.step, scalars, sizeof scalars / sizeof *scalars, err);
}

static tt_status write_validation_tensorboard(struct tt_metrics *m, const struct tt_validation_line *line, struct tt_err *err)
{
    const double gib = (double)line->memory / GIB, percent = 100.0 * (double)line->memory / (double)line->memory_total;
    const struct tt_tfscalar scalars[] = {
        { "validation_metrics/loss", line->report.loss },       { "validation_metrics/throughput(tps)", line->tps },
        { "validation_metrics/memory/max_active(GiB)", gib },   { "validation_metrics/memory/max_active(%)", percent },
        { "validation_metrics/memory/max_reserved(GiB)", gib }, { "validation_metrics/memory/max_reserved(%)", percent },
    };
    return tt_tensorboard_write(&m->tensorboard, line->report.step, scalars, sizeof scalars / sizeof *scalars, err);
}

static tt_status log_line(struct tt_metrics *m, const struct tt_step_report *report, uint64_t memory, double now,
                          struct tt_err *err)
{
    const struct tt_step_line line = measure(m, report, &m->line, memory, now);
    struct tt_buf text = { 0 };
    tt_step_line_format(&text, &line, m->colors);
    tt_log_line(m->log, TT_LOG_INFO, "%s", tt_buf_cstr(&text));
    tt_buf_release(&text);
    const tt_status status = m->tensorboard.path ? write_tensorboard(m, &line, err) : TT_OK;
    tt_memory_reset_peak();
    m->line = (struct tt_metrics_span){ .start = tt_seconds() };
    return status;
}

tt_status tt_metrics_step(struct tt_metrics *m, const struct tt_step_report *report, struct tt_err *err)
{
    const double now = tt_seconds();
    const uint64_t memory = tt_memory_peak();
    const bool first = m->peak_flops == 0;

    if (!is_heard(m))
        return TT_OK;
    tt_status status = first ? measure_peak(m, err) : TT_OK;

    m->line.nsteps++;
    m->step.nsteps++;
    if (status == TT_OK && m->jsonl) {
        const struct tt_step_line line = measure(m, report, &m->step, memory, now);
        status = write_json(m, &line, err);
    }
    if (status == TT_OK && tt_metrics_has_line(m, report->step))
        status = log_line(m, report, memory, now, err);
    else if (first) { /* no line is due: the next one's time is without the measuring */
        m->line.start += tt_seconds() - now;
        tt_memory_reset_peak();
    }
    m->step = (struct tt_metrics_span){ .start = tt_seconds() };
    return status;
}

tt_status tt_metrics_validation(struct tt_metrics *m, const struct tt_validation_report *report, struct tt_err *err)
{
    const struct tt_validation_line line = {
        .report = *report,
        .memory = tt_memory_peak(),
        .memory_total = m->memory_total,
        .tps = tokens_a_second(m, m->line.ntokens + report->ntokens, tt_seconds() - m->line.start),
    };
    struct tt_buf text = { 0 };
    tt_validation_line_format(&text, &line, m->colors);
    tt_log_line(m->log, TT_LOG_INFO, "%s", tt_buf_cstr(&text));
    tt_buf_release(&text);

    tt_status status = m->jsonl ? write_validation_json(m, &line, err) : TT_OK;
    if (status == TT_OK && m->tensorboard.path)
        status = write_validation_tensorboard(m, &line, err);
    tt_memory_reset_peak();
    m->line = m->step = (struct tt_metrics_span){ .start = tt_seconds() };
    return status;
}

static tt_status close_jsonl(struct tt_metrics *m, struct tt_err *err)
{
    FILE *file = m->jsonl;
    m->jsonl = NULL;
    if (!file)
        return TT_OK;
    /* stdout is closed by the program, last. */
    if ((file == stdout ? fflush(file) : fclose(file)) != 0)
        return tt_err_errno(err, errno, "%s", m->jsonl_path);
    return TT_OK;
}

tt_status tt_metrics_close(struct tt_metrics *m, struct tt_err *err)
{
    const tt_status status = close_jsonl(m, err);
    const tt_status closed = tt_tensorboard_close(&m->tensorboard, status == TT_OK ? err : NULL);
    return status == TT_OK ? closed : status;
}
