/* lib/cli/run_log.h: the log of a training program, in TorchTitan's form, on standard error:
 *
 *   [titan] 2026-11-22 17:05:35,231 - root - INFO - Starting job: Llama 3 debug training
 *
 * A line is written in one piece, so that ranks that share a terminal do not mix theirs. */
#ifndef TT_CLI_RUN_LOG_H
#define TT_CLI_RUN_LOG_H

#include <time.h>

#include "base/buf.h"
#include "base/log.h"

/* Lines of this level and above, on standard error. */
struct tt_log tt_run_log(enum tt_log_level least);

/* The line for a time (local), with its newline. */
void tt_run_log_format(struct tt_buf *out, enum tt_log_level level, struct timespec when, const char *text);

#endif
