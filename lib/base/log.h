/* lib/base/log.h: where a library says what it is doing. lib never prints: it calls the log that it was given, and the program
 * decides how a line looks and where it goes. */
#ifndef TT_BASE_LOG_H
#define TT_BASE_LOG_H

#include "base/err.h"

enum tt_log_level { TT_LOG_DEBUG, TT_LOG_INFO, TT_LOG_WARNING, TT_LOG_ERROR };

struct tt_log {
    void (*write)(void *ctx, enum tt_log_level level, const char *line); /* line has no newline; may be called from any thread */
    void *ctx;
};

/* log may be NULL, or have no writer: nothing happens. What is over 4096 bytes is cut. */
void tt_log_line(const struct tt_log *log, enum tt_log_level level, const char *fmt, ...) TT_PRINTF(3, 4);

/* The same for text of any length and any number of lines, as one record. */
void tt_log_text(const struct tt_log *log, enum tt_log_level level, const char *text);

#endif
