#include "cli/meter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static const double line_seconds = 0.1, json_seconds = 0.5; /* between two updates */

tt_status tt_meter_init(struct tt_meter *meter, const char *how, bool quiet, struct tt_err *err)
{
    enum tt_meter_kind kind = TT_METER_NONE;

    if (how && strcmp(how, "json") == 0)
        kind = TT_METER_JSON;
    else if ((!how || strcmp(how, "auto") == 0) && !quiet && isatty(STDERR_FILENO))
        kind = TT_METER_LINE;
    *meter = (struct tt_meter){ .kind = kind, .started = tt_seconds() };
    const int e = pthread_mutex_init(&meter->lock, NULL);
    return e ? tt_err_errno(err, e, "pthread_mutex_init") : TT_OK;
}

void tt_meter_release(struct tt_meter *meter) { pthread_mutex_destroy(&meter->lock); }

void tt_buf_nbytes(struct tt_buf *out, uint64_t nbytes)
{
    static const char *const units[] = { "kB", "MB", "GB", "TB", "PB", "EB" };
    double v = (double)nbytes / 1000;
    size_t unit = 0;

    if (nbytes < 10000) {
        tt_buf_printf(out, "%" PRIu64 " bytes", nbytes);
        return;
    }
    for (; v >= 999.5; unit++)
        v /= 1000;
    tt_buf_printf(out, "%.*f %s", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v, units[unit]);
}

static void put_line(struct tt_buf *out, uint64_t done, uint64_t total, double speed)
{
    tt_buf_nbytes(out, done);
    tt_buf_str(out, " of ");
    tt_buf_nbytes(out, total);
    if (total)
        tt_buf_printf(out, " (%.0f%%)", 100 * (double)done / (double)total);
    if (speed <= 0)
        return;
    const uint64_t left = (uint64_t)((double)(total - done) / speed + 0.5);
    tt_buf_str(out, ", ");
    tt_buf_nbytes(out, (uint64_t)speed);
    tt_buf_str(out, "/s, ");
    if (left >= 60)
        tt_buf_printf(out, "%" PRIu64 " min ", left / 60);
    tt_buf_printf(out, "%" PRIu64 " s left", left % 60);
}

void tt_meter_text(struct tt_buf *out, enum tt_meter_kind kind, uint64_t done, uint64_t total, double seconds)
{
    const double speed = seconds > 0 ? (double)done / seconds : 0;

    if (done > total)
        total = done;
    if (kind == TT_METER_LINE) {
        put_line(out, done, total, speed);
        return;
    }
    tt_buf_printf(out, "{\"done\": %" PRIu64 ", \"total\": %" PRIu64 ", \"seconds\": %.3f, \"bytes_per_second\": %.0f", done, total,
                  seconds, speed);
    if (speed > 0)
        tt_buf_printf(out, ", \"seconds_left\": %.1f}", (double)(total - done) / speed);
    else
        tt_buf_str(out, ", \"seconds_left\": null}");
}

/* One write a text: what other processes print to the same terminal does not come between. The carriage return comes first, and the
 * rest of an earlier, longer line is erased. */
static void show(struct tt_meter *meter, uint64_t done, uint64_t total, double now)
{
    struct tt_buf text = { 0 };

    if (meter->kind == TT_METER_LINE)
        tt_buf_byte(&text, '\r');
    tt_meter_text(&text, meter->kind, done, total, now - meter->started);
    tt_buf_str(&text, meter->kind == TT_METER_LINE ? "\033[K" : "\n");
    if (!text.failed)
        fwrite(text.data, 1, text.len, stderr);
    fflush(stderr);
    tt_buf_release(&text);
    meter->is_drawn = meter->kind == TT_METER_LINE;
    meter->shown = now;
}

void tt_meter_update(struct tt_meter *meter, uint64_t done, uint64_t total)
{
    const double now = tt_seconds();

    pthread_mutex_lock(&meter->lock);
    const double wait = meter->kind == TT_METER_JSON ? json_seconds : line_seconds;
    if (meter->kind != TT_METER_NONE && (meter->shown == 0 || (done == total && meter->done != total) || now - meter->shown >= wait))
        show(meter, done, total, now);
    meter->done = done;
    pthread_mutex_unlock(&meter->lock);
}

void tt_meter_clear(struct tt_meter *meter)
{
    pthread_mutex_lock(&meter->lock);
    if (meter->is_drawn)
        fputs("\r\033[K", stderr);
    meter->is_drawn = false;
    pthread_mutex_unlock(&meter->lock);
}
