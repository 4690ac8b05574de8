#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plot/axis.h"
#include "plot/plot.h"

/* Characters: of a panel's rows, and of the labels left of it. */
enum { ROWS = 14, LABEL = 10, COLUMNS_MIN = 40, COLUMNS_MAX = 240, NTICKS_X = 5, NTICKS_Y = 6, NONE = 0 };

static const char marks[] = "*+ox#@%&";
enum { NMARKS = sizeof marks - 1 };

/* What stands in each cell: 1 + the run, or NONE. */
struct panel {
    int columns; /* of cells */
    struct tt_axis steps, values;
    size_t cells[ROWS][COLUMNS_MAX];
};

static int column_of(const struct panel *p, double step) { return (int)lround(tt_axis_place(&p->steps, step) * (p->columns - 1)); }
static int row_of(const struct panel *p, double v) { return ROWS - 1 - (int)lround(tt_axis_place(&p->values, v) * (ROWS - 1)); }

static void put_mark(struct tt_buf *out, size_t run, bool colors)
{
    if (colors)
        tt_buf_printf(out, "\033[3%dm%c\033[39m", (int)(1 + run % 6), marks[run % NMARKS]);
    else
        tt_buf_byte(out, (uint8_t)marks[run % NMARKS]);
}

/* --- curves ---------------------------------------------------------------------------------------------------------------- */

/* Columns between two that have points are filled along the line from one to the other, where no value is missing between. */
static void draw_run(struct panel *p, const struct tt_plot_run *run, size_t index, enum tt_plot_metric metric)
{
    int before = -1; /* the last column with a point, and its value */
    double before_value = 0;

    for (size_t i = 0; i < run->n;) {
        const int column = column_of(p, run->points[i].step);
        double sum = 0;
        size_t n = 0, missing = 0;
        for (; i < run->n && column_of(p, run->points[i].step) == column; i++)
            if (isnan(run->points[i].value[metric])) {
                missing++;
            } else {
                sum += run->points[i].value[metric];
                n++;
            }
        if (n == 0) {
            before = -1;
            continue;
        }
        const double value = sum / (double)n;
        for (int c = before < 0 ? column : before + 1; c <= column; c++) {
            const double part = before < 0 ? 1 : (double)(c - before) / (column - before);
            p->cells[row_of(p, before_value + part * (value - before_value))][c] = index + 1;
        }
        before = missing ? -1 : column;
        before_value = value;
    }
}

/* --- panels ---------------------------------------------------------------------------------------------------------------- */

/* The tick of the value axis that stands at a row, or false. */
static bool tick_at(const struct panel *p, int row, int64_t *tick)
{
    for (int64_t i = p->values.first; i <= p->values.last; i++)
        if (row_of(p, tt_axis_tick(&p->values, i)) == row) {
            *tick = i;
            return true;
        }
    return false;
}

static void put_rows(struct tt_buf *out, const struct panel *p, bool colors)
{
    for (int row = 0; row < ROWS; row++) {
        struct tt_buf label = { 0 };
        int64_t tick;
        const bool any = tick_at(p, row, &tick);
        int last = p->columns; /* no spaces at the end of a line */
        if (any)
            tt_axis_label(&label, &p->values, tick);
        while (last > 0 && p->cells[row][last - 1] == NONE)
            last--;
        tt_buf_printf(out, "%*s %c", LABEL - 2, tt_buf_cstr(&label), any ? '+' : '|');
        for (int c = 0; c < last; c++)
            if (p->cells[row][c] == NONE)
                tt_buf_byte(out, ' ');
            else
                put_mark(out, p->cells[row][c] - 1, colors);
        tt_buf_byte(out, '\n');
        tt_buf_release(&label);
    }
}

/* The axis of steps, and the labels under those of its ticks that leave room for them. */
static void put_step_axis(struct tt_buf *out, const struct panel *p)
{
    char line[COLUMNS_MAX + 1] = "";
    int end = -1; /* of the labels so far, in columns */
    struct tt_buf labels = { 0 };

    memset(line, '-', (size_t)p->columns);
    tt_buf_fill(&labels, ' ', LABEL);
    for (int64_t i = p->steps.first; i <= p->steps.last; i++) {
        struct tt_buf label = { 0 };
        const int column = column_of(p, tt_axis_tick(&p->steps, i));
        tt_axis_label(&label, &p->steps, i);
        const int start = column - (int)label.len / 2;
        line[column] = '+';
        if (start > end && start + (int)label.len <= p->columns) {
            tt_buf_fill(&labels, ' ', (size_t)(start - (end < 0 ? 0 : end)));
            tt_buf_put(&labels, label.data, label.len);
            end = start + (int)label.len;
        }
        tt_buf_release(&label);
    }
    tt_buf_fill(out, ' ', LABEL - 1);
    tt_buf_printf(out, "+%s\n%s\n", line, tt_buf_cstr(&labels));
    tt_buf_release(&labels);
}

static void put_panel(struct tt_buf *out, const struct tt_plot_run *runs, size_t nruns, enum tt_plot_metric metric, int columns,
                      bool colors)
{
    struct panel p = { .columns = columns };
    tt_buf_printf(out, "\n%*s%s over steps\n", LABEL, "", tt_plot_metrics[metric].title);
    if (!tt_axis_of_metric(&p.values, runs, nruns, metric, NTICKS_Y)) {
        tt_buf_printf(out, "%*sno values\n", LABEL, "");
        return;
    }
    tt_axis_of_steps(&p.steps, runs, nruns, NTICKS_X);
    for (size_t r = 0; r < nruns; r++)
        draw_run(&p, &runs[r], r, metric);
    put_rows(out, &p, colors);
    put_step_axis(out, &p);
}

void tt_plot_text(struct tt_buf *out, const struct tt_plot_run *runs, size_t nruns, int columns, bool colors)
{
    const int width = columns < COLUMNS_MIN ? COLUMNS_MIN : columns > COLUMNS_MAX ? COLUMNS_MAX : columns;
    for (size_t r = 0; r < nruns; r++) {
        put_mark(out, r, colors);
        tt_buf_printf(out, " %s\n", runs[r].name);
    }
    for (int m = 0; m < TT_PLOT_NMETRIC; m++)
        put_panel(out, runs, nruns, (enum tt_plot_metric)m, width - LABEL, colors);
}
