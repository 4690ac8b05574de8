#include "plot/runs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "value/json.h"
#include "value/utf8.h"

enum { FILE_BYTES_MAX = 1 << 30 };

/* What is beyond has no place on an axis. */
static const double FINITE_MAX = 1e100;

const struct tt_plot_metric_row tt_plot_metrics[TT_PLOT_NMETRIC] = {
    [TT_PLOT_LOSS] = { "loss", "loss" },
    [TT_PLOT_GRAD_NORM] = { "grad_norm", "gradient norm" },
    [TT_PLOT_LR] = { "lr", "learning rate" },
    [TT_PLOT_TPS] = { "tps", "tokens/s" },
};

static bool take_number(double *out, const struct tt_value *v)
{
    if (!v || v->kind == TT_V_NULL)
        *out = NAN;
    else if (v->kind == TT_V_INT)
        *out = (double)v->u.i;
    else if (v->kind == TT_V_FLOAT)
        *out = fabs(v->u.f) <= FINITE_MAX ? v->u.f : NAN;
    else
        return false;
    return true;
}

/* out->step -1: the line is a validation's, which is not drawn. */
static tt_status take_line(struct tt_plot_point *out, const char *line, size_t nbytes, const char *where, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_value *object;
    struct tt_plot_point point = { .step = -1 };

    tt_status st = tt_json_parse(&object, &arena, line, nbytes, where, err);
    const struct tt_value *step = st == TT_OK ? tt_value_get(object, "step") : NULL;
    if (st == TT_OK && (!step || step->kind != TT_V_INT || step->u.i < 0))
        st = tt_err_set(err, TT_EFORMAT, "%s: expected an object with a \"step\" of at least 0", where);
    for (int m = 0; st == TT_OK && m < TT_PLOT_NMETRIC; m++)
        if (!take_number(&point.value[m], tt_value_get(object, tt_plot_metrics[m].key)))
            st = tt_err_set(err, TT_EFORMAT, "%s: expected a number or null for \"%s\"", where, tt_plot_metrics[m].key);
    if (st == TT_OK) {
        point.step = tt_value_get(object, "validation_loss") ? -1 : (double)step->u.i;
        *out = point;
    }
    tt_arena_release(&arena);
    return st;
}

/* A name that any output can show. */
static const char *clean_name(struct tt_arena *arena, const char *path)
{
    char *name = tt_arena_str(arena, strcmp(path, "-") == 0 ? "stdin" : path);
    for (char *p = name; p && *p;) {
        const size_t len = tt_utf8_len(p, strlen(p));
        if (len == 0 || (unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
        p += len ? len : 1;
    }
    return name;
}

static size_t count_lines(const struct tt_buf *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->len; i++)
        n += text->data[i] == '\n';
    return n;
}

static tt_status take_lines(struct tt_plot_run *out, struct tt_arena *arena, const struct tt_buf *text, const char *path,
                            struct tt_err *err)
{
    const size_t nlines = count_lines(text);
    struct tt_plot_point *points = tt_arena_array(arena, nlines, sizeof *points);
    const char *line = (const char *)text->data, *name = clean_name(arena, path);
    size_t n = 0;

    if (!points || !name)
        return tt_err_nomem(err, nlines * sizeof *points, path);
    for (size_t i = 0; i < nlines; i++) {
        const char *end = memchr(line, '\n', text->len - (size_t)(line - (const char *)text->data));
        struct tt_plot_point point;
        char where[1024];
        snprintf(where, sizeof where, "%s:%zu", path, i + 1);
        const tt_status st = take_line(&point, line, (size_t)(end - line), where, err);
        if (st != TT_OK)
            return st;
        line = end + 1;
        if (point.step < 0)
            continue;
        while (n > 0 && points[n - 1].step >= point.step)
            n--;
        points[n++] = point;
    }
    if (n == 0)
        return tt_err_set(err, TT_EFORMAT, "%s: expected a JSON object a line, found no line", path);
    *out = (struct tt_plot_run){ name, points, n };
    return TT_OK;
}

tt_status tt_plot_read(struct tt_plot_run *out, struct tt_arena *arena, const char *path, struct tt_err *err)
{
    struct tt_buf text = { 0 };
    tt_status st = tt_file_read_all(&text, path, FILE_BYTES_MAX, err);
    if (st == TT_OK)
        st = take_lines(out, arena, &text, path, err);
    tt_buf_release(&text);
    return st;
}
