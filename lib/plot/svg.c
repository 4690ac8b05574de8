#include <inttypes.h>
#include <math.h>

#include "plot/axis.h"
#include "plot/plot.h"

/* In pixels: the picture's two columns of panels, and what is around a panel's frame. */
enum {
    PANEL_WIDTH = 480,
    PANEL_HEIGHT = 270,
    LEFT = 66,
    RIGHT = 18,
    TOP = 32,
    BOTTOM = 40,
    LEGEND_TOP = 14,
    LEGEND_ROW = 20,
    LEGEND_CHAR = 7,
    LEGEND_SWATCH = 34,
    NTICKS_X = 6,
    NTICKS_Y = 5,
};

/* Okabe and Ito's colours, which most colour-blind people tell apart; behind them the lines are dashed. */
static const char *const colors[] = { "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999" };
enum { NCOLORS = sizeof colors / sizeof *colors };

static const char *color_of(size_t run) { return colors[run % NCOLORS]; }
static const char *dash_of(size_t run) { return run < NCOLORS ? "" : " stroke-dasharray=\"6 4\""; }

static void put_xml(struct tt_buf *out, const char *s)
{
    for (; *s; s++)
        if (*s == '&')
            tt_buf_str(out, "&amp;");
        else if (*s == '<')
            tt_buf_str(out, "&lt;");
        else
            tt_buf_byte(out, (uint8_t)*s);
}

/* A panel's frame, in pixels of the picture, and its axes. */
struct panel {
    double x, y, width, height;
    struct tt_axis steps, values;
};

static double x_of(const struct panel *p, double step) { return p->x + p->width * tt_axis_place(&p->steps, step); }
static double y_of(const struct panel *p, double v) { return p->y + p->height * (1 - tt_axis_place(&p->values, v)); }

/* --- curves ---------------------------------------------------------------------------------------------------------------- */

/* The points of a run from i on that have a value and lie in one column of pixels: the index behind them. */
static size_t column_end(const struct panel *p, const struct tt_plot_run *run, enum tt_plot_metric metric, size_t i)
{
    const double column = floor(x_of(p, run->points[i].step));
    while (i < run->n && !isnan(run->points[i].value[metric]) && floor(x_of(p, run->points[i].step)) == column)
        i++;
    return i;
}

static void put_point(struct tt_buf *out, const struct panel *p, char command, const struct tt_plot_point *point, double v)
{
    tt_buf_printf(out, "%c%.1f %.1f", command, x_of(p, point->step), y_of(p, v));
}

/* The least and the greatest value of points i .. end, in the order in which they come. */
static void put_column(struct tt_buf *out, const struct panel *p, const struct tt_plot_run *run, enum tt_plot_metric metric,
                       size_t i, size_t end, bool starts)
{
    size_t least = i, most = i;
    for (size_t k = i; k < end; k++) {
        least = run->points[k].value[metric] < run->points[least].value[metric] ? k : least;
        most = run->points[k].value[metric] > run->points[most].value[metric] ? k : most;
    }
    const size_t one = least < most ? least : most, other = least < most ? most : least;
    put_point(out, p, starts ? 'M' : 'L', &run->points[one], run->points[one].value[metric]);
    if (other != one)
        put_point(out, p, 'L', &run->points[other], run->points[other].value[metric]);
}

static void put_curve(struct tt_buf *out, const struct panel *p, const struct tt_plot_run *run, size_t index,
                      enum tt_plot_metric metric)
{
    bool starts = true;
    tt_buf_printf(out, "<path stroke=\"%s\"%s d=\"", color_of(index), dash_of(index));
    for (size_t i = 0; i < run->n;) {
        if (isnan(run->points[i].value[metric])) {
            starts = true;
            i++;
            continue;
        }
        const size_t end = column_end(p, run, metric, i);
        put_column(out, p, run, metric, i, end, starts);
        if (starts && (end == run->n || isnan(run->points[end].value[metric])))
            tt_buf_str(out, "h2"); /* a point between gaps is to be seen */
        starts = false;
        i = end;
    }
    tt_buf_str(out, "\"><title>");
    put_xml(out, run->name);
    tt_buf_str(out, "</title></path>\n");
}

/* --- panels ---------------------------------------------------------------------------------------------------------------- */

static void put_ticks(struct tt_buf *out, const struct panel *p)
{
    for (int64_t i = p->steps.first; i <= p->steps.last; i++) {
        const double x = x_of(p, tt_axis_tick(&p->steps, i));
        tt_buf_printf(out, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">", x,
                      p->y, p->y + p->height, x, p->y + p->height + 15);
        tt_axis_label(out, &p->steps, i);
        tt_buf_str(out, "</text>\n");
    }
    for (int64_t i = p->values.first; i <= p->values.last; i++) {
        const double y = y_of(p, tt_axis_tick(&p->values, i));
        tt_buf_printf(out, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", p->x, y,
                      p->x + p->width, p->x - 6, y + 4);
        tt_axis_label(out, &p->values, i);
        tt_buf_str(out, "</text>\n");
    }
}

static void put_panel(struct tt_buf *out, const struct tt_plot_run *runs, size_t nruns, enum tt_plot_metric metric, double top)
{
    struct panel p = {
        .x = metric % 2 * PANEL_WIDTH + LEFT,
        .y = top + metric / 2 * PANEL_HEIGHT + TOP,
        .width = PANEL_WIDTH - LEFT - RIGHT,
        .height = PANEL_HEIGHT - TOP - BOTTOM,
    };
    const bool any = tt_axis_of_metric(&p.values, runs, nruns, metric, NTICKS_Y);
    tt_axis_of_steps(&p.steps, runs, nruns, NTICKS_X);

    tt_buf_printf(out, "<g>\n<text class=\"head\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", p.x, p.y - 10, tt_plot_metrics[metric].title);
    if (any)
        put_ticks(out, &p);
    else
        tt_buf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">no values</text>\n", p.x + p.width / 2,
                      p.y + p.height / 2);
    tt_buf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">step</text>\n", p.x + p.width, p.y + p.height + 31);
    tt_buf_printf(out, "<path class=\"frame\" d=\"M%.1f %.1fV%.1fH%.1f\"/>\n<g class=\"curve\">\n", p.x, p.y, p.y + p.height,
                  p.x + p.width);
    for (size_t r = 0; any && r < nruns; r++)
        put_curve(out, &p, &runs[r], r, metric);
    tt_buf_str(out, "</g>\n</g>\n");
}

/* --- the picture ----------------------------------------------------------------------------------------------------------- */

static size_t count_chars(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += (*s & 0xc0) != 0x80;
    return n;
}

/* Names beside their colours, in as many rows as they take; returns where they end. */
static double put_legend(struct tt_buf *out, const struct tt_plot_run *runs, size_t nruns)
{
    double x = LEFT, y = LEGEND_TOP;
    for (size_t r = 0; r < nruns; r++) {
        const double width = LEGEND_SWATCH + LEGEND_CHAR * (double)(count_chars(runs[r].name) + 2);
        if (x > LEFT && x + width > 2 * PANEL_WIDTH) {
            x = LEFT;
            y += LEGEND_ROW;
        }
        tt_buf_printf(out, "<path class=\"curve\" stroke=\"%s\"%s d=\"M%.1f %.1fh26\"/><text x=\"%.1f\" y=\"%.1f\">", color_of(r),
                      dash_of(r), x, y, x + LEGEND_SWATCH, y + 4);
        put_xml(out, runs[r].name);
        tt_buf_str(out, "</text>\n");
        x += width;
    }
    return y + LEGEND_ROW / 2.0;
}

void tt_plot_svg(struct tt_buf *out, const struct tt_plot_run *runs, size_t nruns)
{
    struct tt_buf legend = { 0 };
    const double top = put_legend(&legend, runs, nruns);
    const int width = 2 * PANEL_WIDTH, height = (int)top + (TT_PLOT_NMETRIC + 1) / 2 * PANEL_HEIGHT;

    tt_buf_printf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n"
                  "<style>text{font:12px sans-serif;fill:#333}.head{font-weight:bold}path{fill:none}.grid{stroke:#e4e4e4}"
                  ".frame{stroke:#666}.curve{stroke-width:1.5;stroke-linejoin:round;stroke-linecap:round}</style>\n"
                  "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
                  width, height, width, height, width, height);
    tt_buf_put(out, legend.data, legend.len);
    out->failed |= legend.failed;
    for (int m = 0; m < TT_PLOT_NMETRIC; m++)
        put_panel(out, runs, nruns, (enum tt_plot_metric)m, top);
    tt_buf_str(out, "</svg>\n");
    tt_buf_release(&legend);
}
