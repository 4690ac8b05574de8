#include "cli/run_log.h"

#include <unistd.h>

#include "base/file.h"

static const char *const level_names[] = {
    [TT_LOG_DEBUG] = "DEBUG",
    [TT_LOG_INFO] = "INFO",
    [TT_LOG_WARNING] = "WARNING",
    [TT_LOG_ERROR] = "ERROR",
};

void tt_run_log_format(struct tt_buf *out, enum tt_log_level level, struct timespec when, const char *text)
{
    char date[64];
    struct tm tm;

    localtime_r(&when.tv_sec, &tm);
    strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &tm);
    tt_buf_printf(out, "[titan] %s,%03d - root - %s - %s\n", date, (int)(when.tv_nsec / 1000000), level_names[level], text);
}

static void write_line(void *ctx, enum tt_log_level level, const char *text)
{
    const enum tt_log_level *least = ctx;
    struct tt_buf line = { 0 };
    struct timespec now;

    if (level < *least)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    tt_run_log_format(&line, level, now, text);
    /* A log that cannot be written has nowhere to say so. */
    const tt_status ignored = line.failed ? TT_ENOMEM : tt_write_full(STDERR_FILENO, line.data, line.len, "standard error", NULL);
    (void)ignored;
    tt_buf_release(&line);
}

struct tt_log tt_run_log(enum tt_log_level least)
{
    static enum tt_log_level levels[] = { TT_LOG_DEBUG, TT_LOG_INFO, TT_LOG_WARNING, TT_LOG_ERROR };
    return (struct tt_log){ .write = write_line, .ctx = &levels[least] };
}
