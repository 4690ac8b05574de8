#include "base/log.h"

#include <stdio.h>

void tt_log_line(const struct tt_log *log, enum tt_log_level level, const char *fmt, ...)
{
    if (!log || !log->write)
        return;
    char line[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    log->write(log->ctx, level, line);
}

void tt_log_text(const struct tt_log *log, enum tt_log_level level, const char *text)
{
    if (log && log->write)
        log->write(log->ctx, level, text);
}
