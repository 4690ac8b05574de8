/* lib/cli/meter.h: how far a copy is, on standard error while it runs.
 *
 *   TT_METER_LINE   one line, drawn again and again: 1.25 GB of 6.18 GB (20%), 1.10 GB/s, 4 s left
 *   TT_METER_JSON   an object a line: {"done": 1250000000, "total": 6180000000, "seconds": 1.14, "bytes_per_second": 1096491228,
 *                   "seconds_left": 4.5}; seconds_left is null while nothing is done */
#ifndef TT_CLI_METER_H
#define TT_CLI_METER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum tt_meter_kind { TT_METER_NONE, TT_METER_LINE, TT_METER_JSON };

struct tt_meter {
    enum tt_meter_kind kind;
    double started, shown; /* tt_seconds() */
    uint64_t done;         /* as of the last update */
    bool is_drawn;         /* LINE: there is a line to clear */
    pthread_mutex_t lock;
};

/* how: "auto" or NULL (a LINE where stderr is a terminal, and quiet is not asked for), "json", "none". */
TT_MUST_CHECK tt_status tt_meter_init(struct tt_meter *meter, const char *how, bool quiet, struct tt_err *err);
void tt_meter_release(struct tt_meter *meter);

/* Shows it if there is something new to see: the first, the last, and a few times a second between. From any thread. */
void tt_meter_update(struct tt_meter *meter, uint64_t done, uint64_t total);
/* Takes the line away, so that another can be printed. From any thread. */
void tt_meter_clear(struct tt_meter *meter);

/* What is shown, for tests and for JSON without its newline. */
void tt_meter_text(struct tt_buf *out, enum tt_meter_kind kind, uint64_t done, uint64_t total, double seconds);

/* "1.25 GB", "832 bytes". */
void tt_buf_nbytes(struct tt_buf *out, uint64_t nbytes);

#endif
