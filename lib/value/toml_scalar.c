/* TOML's booleans, numbers, dates and times: one token, up to what cannot be part of any of them. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "value/toml_private.h"

struct token {
    const char *s;
    size_t n;
};

static bool is(const struct token *k, const char *text) { return k->n == strlen(text) && memcmp(k->s, text, k->n) == 0; }
static bool digit_at(const struct token *k, size_t i) { return i < k->n && k->s[i] >= '0' && k->s[i] <= '9'; }

/* --- dates and times: checked field by field ------------------------------------------------------------------------------- */

/* Exactly n digits at *i, at most max. */
static bool field(const struct token *k, size_t *i, int n, int min, int max, int *out)
{
    int v = 0;
    for (int j = 0; j < n; j++, (*i)++) {
        if (!digit_at(k, *i))
            return false;
        v = v * 10 + (k->s[*i] - '0');
    }
    *out = v;
    return v >= min && v <= max;
}

static bool one_of(const struct token *k, size_t *i, const char *chars)
{
    if (*i >= k->n || !strchr(chars, k->s[*i]))
        return false;
    ++*i;
    return true;
}

static bool date_at(const struct token *k, size_t *i)
{
    static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int y, m, d;
    if (!field(k, i, 4, 0, 9999, &y) || !one_of(k, i, "-") || !field(k, i, 2, 1, 12, &m) || !one_of(k, i, "-") ||
        !field(k, i, 2, 1, 31, &d))
        return false;
    const bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return d <= days[m - 1] - (m == 2 && !leap);
}

static bool time_at(const struct token *k, size_t *i)
{
    int v;
    if (!field(k, i, 2, 0, 23, &v) || !one_of(k, i, ":") || !field(k, i, 2, 0, 59, &v) || !one_of(k, i, ":") ||
        !field(k, i, 2, 0, 60, &v))
        return false;
    if (!one_of(k, i, "."))
        return true;
    const size_t start = *i;
    while (digit_at(k, *i))
        ++*i;
    return *i > start;
}

static bool offset_at(const struct token *k, size_t *i)
{
    int v;
    if (*i == k->n || one_of(k, i, "Zz"))
        return true;
    return one_of(k, i, "+-") && field(k, i, 2, 0, 23, &v) && one_of(k, i, ":") && field(k, i, 2, 0, 59, &v);
}

static bool is_date_or_time(const struct token *k)
{
    size_t i = 0;
    if (k->n > 2 && k->s[2] == ':')
        return time_at(k, &i) && i == k->n;
    if (!date_at(k, &i))
        return false;
    return i == k->n || (one_of(k, &i, "Tt ") && time_at(k, &i) && offset_at(k, &i) && i == k->n);
}

/* --- numbers --------------------------------------------------------------------------------------------------------------- */

/* Digits of a base with single underscores between them, copied to out without those; how many bytes of the token, 0: none. */
static size_t digits_at(const struct token *k, size_t i, int base, struct tt_buf *out)
{
    const size_t start = i;
    while (i < k->n && (tt_toml_digit(k->s[i], base) >= 0 || k->s[i] == '_')) {
        const bool between =
            i > start && i + 1 < k->n && tt_toml_digit(k->s[i - 1], base) >= 0 && tt_toml_digit(k->s[i + 1], base) >= 0;
        if (k->s[i] == '_' && !between)
            return 0;
        if (k->s[i] != '_')
            tt_buf_byte(out, (uint8_t)k->s[i]);
        i++;
    }
    return i - start;
}

enum number { NOT_A_NUMBER, INTEGER, FLOAT };

/* [+-] digits [. digits] [e [+-] digits], into text as strtod and strtoll read it. */
static enum number decimal(const struct token *k, struct tt_buf *text)
{
    enum number kind = INTEGER;
    size_t i = 0, n;
    if (k->n && (k->s[0] == '+' || k->s[0] == '-'))
        tt_buf_byte(text, (uint8_t)k->s[i++]);
    if ((n = digits_at(k, i, 10, text)) == 0 || (n > 1 && k->s[i] == '0'))
        return NOT_A_NUMBER;
    i += n;
    if (i < k->n && k->s[i] == '.') {
        kind = FLOAT;
        tt_buf_byte(text, '.');
        if ((n = digits_at(k, ++i, 10, text)) == 0)
            return NOT_A_NUMBER;
        i += n;
    }
    if (i < k->n && (k->s[i] == 'e' || k->s[i] == 'E')) {
        kind = FLOAT;
        tt_buf_byte(text, 'e');
        if (++i < k->n && (k->s[i] == '+' || k->s[i] == '-'))
            tt_buf_byte(text, (uint8_t)k->s[i++]);
        if ((n = digits_at(k, i, 10, text)) == 0)
            return NOT_A_NUMBER;
        i += n;
    }
    return i == k->n ? kind : NOT_A_NUMBER;
}

static int prefix_base(const struct token *k)
{
    if (k->n < 2 || k->s[0] != '0')
        return 10;
    return k->s[1] == 'x' ? 16 : k->s[1] == 'o' ? 8 : k->s[1] == 'b' ? 2 : 10;
}

static tt_status number(struct tt_toml *t, const struct token *k, struct tt_value **out)
{
    struct tt_buf text = { 0 };
    const int base = prefix_base(k);
    enum number kind = NOT_A_NUMBER;
    tt_status st = TT_OK;

    if (base == 10)
        kind = decimal(k, &text);
    else if (digits_at(k, 2, base, &text) == k->n - 2 && k->n > 2)
        kind = INTEGER;

    errno = 0;
    const char *digits = tt_buf_cstr(&text);
    const int64_t i = kind == INTEGER ? strtoll(digits, NULL, base) : 0;
    if (kind == NOT_A_NUMBER)
        st = tt_toml_expected(t, "a value");
    else if (kind == INTEGER && errno == ERANGE)
        st = tt_toml_expected(t, "an integer of at most 64 bits");
    else if (!(*out = kind == INTEGER ? tt_value_int(t->arena, i) : tt_value_float(t->arena, strtod(digits, NULL))))
        st = tt_toml_nomem(t);
    tt_buf_release(&text);
    return st;
}

/* --- which of them --------------------------------------------------------------------------------------------------------- */

static struct token token_at(const struct tt_toml *t)
{
    struct token k = { t->p, 0 };
    const size_t max = (size_t)(t->end - t->p);
    static const char allowed[] = "+-._:";
    while (k.n < max && k.s[k.n] &&
           ((k.s[k.n] >= '0' && k.s[k.n] <= '9') || ((k.s[k.n] | 0x20) >= 'a' && (k.s[k.n] | 0x20) <= 'z') ||
            strchr(allowed, k.s[k.n])))
        k.n++;
    /* A date and a time may have a blank between them. */
    const struct token rest = { k.s + k.n, max - k.n };
    if (k.n == 10 && k.s[4] == '-' && rest.n > 1 && rest.s[0] == ' ' && digit_at(&rest, 1)) {
        k.n++;
        while (k.n < max && ((k.s[k.n] >= '0' && k.s[k.n] <= '9') || (k.s[k.n] && strchr("+-.:Zz", k.s[k.n]))))
            k.n++;
    }
    return k;
}

static bool special_float(const struct token *k, double *out)
{
    static const struct {
        const char *text;
        double value;
    } rows[] = {
        { "inf", INFINITY }, { "+inf", INFINITY }, { "-inf", -INFINITY }, { "nan", NAN }, { "+nan", NAN }, { "-nan", -NAN },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (is(k, rows[i].text)) {
            *out = rows[i].value;
            return true;
        }
    return false;
}

tt_status tt_toml_scalar(struct tt_toml *t, struct tt_value **out)
{
    const struct token k = token_at(t);
    struct tt_value *v = NULL;
    double f;
    tt_status st = TT_OK;

    if (is(&k, "true") || is(&k, "false"))
        v = tt_value_bool(t->arena, k.s[0] == 't');
    else if (special_float(&k, &f))
        v = tt_value_float(t->arena, f);
    else if (is_date_or_time(&k))
        v = tt_value_strn(t->arena, k.s, k.n);
    else
        st = number(t, &k, &v);
    if (st != TT_OK)
        return st;
    if (!v)
        return tt_toml_nomem(t);
    v->line = t->line;
    t->p += k.n;
    *out = v;
    return TT_OK;
}
